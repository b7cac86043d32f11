import pytest

from stack import STACKS, stack


@pytest.fixture(params=STACKS, scope="session")
def every_stack(request):
    return stack(request.param)
