"""Collections: named, versioned lists of models, each at one version.

tables.py      collections, their versions, and the models of each version
entries.py     which models a request means: load, decide (pure)
records.py     the API's representation
lookup.py      the collection of a request
operations.py  create, list, read, change
deletion.py    delete
versions.py    the next version, lists, one with its models
changes.py     what changed between two versions
uses.py       the collections that use a model
subscriptions.py, subscribed_models.py  machines and labels that get a collection, and the models that they get by that
machine_updates.py, due_machines.py     writing what machines get, in transactions of a limited size
routes.py      HTTP only
rollouts/      roll-outs of a version: first to some machines, then to all
"""
