"""Groups of the calls of a registry, which ``RegistryApi`` puts together."""
