import sys

import pytest

from stack import ROOT, STACKS, stack

sys.path.append(str(ROOT / "deploy"))


@pytest.fixture(params=STACKS, scope="session")
def every_stack(request):
    return stack(request.param)
