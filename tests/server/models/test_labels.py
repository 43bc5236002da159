"""Label sets of models and machines, compared many at once."""

from modelyard.server.models.replicas.labels import build_label_set, find_satisfied_sets, has_all_labels

SETS = ["", "gpu", "gpu24", "gpu24 linux", "gpu24 linux studio", "linux studio", ":folders gpu24"]


def test_find_satisfied_sets_agrees_with_the_comparison_of_each_pair() -> None:
    for machines in ([], ["gpu24"], ["linux", "gpu24 studio"], ["", build_label_set(["gpu24"], ["studio", "linux"])]):
        expected = {needed for needed in SETS if not needed or any(has_all_labels(needed, has) for has in machines)}
        assert find_satisfied_sets(SETS, machines) == expected
