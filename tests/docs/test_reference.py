import pytest

from tools.reference import PAGES, read_generated_file

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", PAGES)
def test_generated_reference_page_is_up_to_date(name: str) -> None:
    assert read_generated_file(name) == PAGES[name](), "write the pages anew with `make fix`"
