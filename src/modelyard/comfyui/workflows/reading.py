"""Reading of a workflow: a JSON text to the models that its nodes name."""

from itertools import islice

from modelyard.comfyui.workflows.api_format import read_api_nodes
from modelyard.comfyui.workflows.declared import read_declared
from modelyard.comfyui.workflows.detection import list_references
from modelyard.comfyui.workflows.documents import JsonObject, find_graph, is_graph, parse_document
from modelyard.comfyui.workflows.loaders import LoaderTable, get_default_loaders
from modelyard.comfyui.workflows.references import ModelReference, WorkflowUnreadable
from modelyard.comfyui.workflows.ui_format import read_ui_nodes

# Of one workflow; more are no work of a person.
MAX_REFERENCES = 100_000
# Of the JSON of all instances of subgraphs, see ``read_workflow``.
MAX_EXPANDED_BYTES = 16 * 1024 * 1024


def list_prompt_references(nodes: JsonObject) -> list[ModelReference]:
    """Return the models that the nodes of a prompt in API format name, at most ``MAX_REFERENCES``.

    Only loaders of ComfyUI and of well-known custom nodes are known.
    """
    table = get_default_loaders()
    found = (reference for node in read_api_nodes(nodes) for reference in list_references(node, table, {}))
    return list(islice(found, MAX_REFERENCES))


def read_workflow(
    document: bytes,
    *,
    loaders: LoaderTable | None = None,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
    max_references: int = MAX_REFERENCES,
) -> list[ModelReference]:
    """Return the models that the nodes of a workflow name, in the order of the nodes.

    ``document`` is a JSON text in UI or API format, see ``embedded`` for other files. ``loaders`` says which inputs of
    which nodes name models, in addition to what ComfyUI and well-known custom nodes have; None for these alone. A
    string that ends like a model file is also reported for other nodes, without a folder unless the workflow declares
    one. ``max_expanded_bytes`` limits the time that a small document can take: the JSON of all instances of subgraphs
    together, each of which counts for the size of its definition. Reading ends with the first reference above
    ``max_references``.

    Raises:
        ExpansionTooLarge: its subgraphs exceed ``max_expanded_bytes``.
        WorkflowUnreadable: it is no workflow, or too large.
    """
    graph = find_graph(parse_document(document))
    table = get_default_loaders() if loaders is None else get_default_loaders().extend(loaders)
    nodes = read_ui_nodes(graph, table, max_expanded_bytes) if is_graph(graph) else read_api_nodes(graph)
    declared = read_declared(graph.get("models")) if is_graph(graph) else {}

    found = (reference for node in nodes for reference in list_references(node, table, declared))
    references = list(islice(found, max_references + 1))
    if len(references) > max_references:
        raise WorkflowUnreadable(f"The workflow names models in more than {max_references:,} places.")
    return references
