"""The API's schemas, problems and validation rules, shared by the registry and its clients."""
