import pytest

from tools.reference import PAGES, written


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    assert written(name) == PAGES[name](), "write the pages anew with `make fix`"
