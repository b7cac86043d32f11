import shutil
import sys

import pytest

from script import Script, check_call
from stack import ROOT, STACKS, stack

sys.path.append(str(ROOT / "deploy"))


@pytest.fixture(params=STACKS, scope="session")
def every_stack(request):
    return stack(request.param)


@pytest.fixture(scope="session")
def deployed_once(tmp_path_factory):
    made = Script(tmp_path_factory.mktemp("deployed"))
    made("deploy")
    return made


@pytest.fixture
def script(tmp_path):
    made = Script(tmp_path)
    yield made
    for call in made.account.read()["calls"]:
        check_call(call)


@pytest.fixture
def deployed(script, deployed_once):
    """A script with an existing stack, of the same package and file."""
    shutil.copytree(deployed_once.folder / "s3", script.folder / "s3")
    script.account.write({**deployed_once.account.read(), "calls": []})
    return script
