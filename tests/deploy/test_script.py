"""deploy/deploy.sh, with something in the place of AWS's command line that notes what it is asked."""

import json
import os
import subprocess
import sys

import pytest

from stack import ROOT

FAKE = f"""#!{sys.executable}
import json, os, sys
asked = " ".join(sys.argv[1:])
with open(os.environ["ASKED"], "a") as notes:
    notes.write(asked + "\\n")
for part, answer in json.loads(os.environ["ANSWERS"]).items():
    if part in asked:
        print(answer or "", end="")
        sys.exit(answer is None)
"""
ANSWERS = {
    "--version": "aws-cli/2.31.0 Python/3.13.7",
    "get-caller-identity --query Account": "123456789012",
    "Stacks[0].StackStatus": "",
    "OutputKey=='FunctionName'": "orders-Function-1",
    "OutputKey=='LogGroupName'": "orders-LogGroup-1",
    "OutputKey=='TableName'": "orders-Table-1",
}
PARAMETERS = "# brokers\r\nKafkaBootstrapServers=a:1,b:2\r\n\nKafkaTopic=orders\nKafkaGroupId=billing\nKafkaSecurityProtocol=SSL"


class Script:
    def __init__(self, folder):
        self.folder = folder
        self.notes = folder / "asked"
        (folder / "aws").write_text(FAKE)
        (folder / "aws").chmod(0o755)
        self.file("function.zip", "a package")
        self.file("orders.params", PARAMETERS)

    def file(self, name, content):
        (self.folder / name).write_bytes(content.encode())
        return self.folder / name

    def __call__(self, command, answers=None, **variables):
        self.notes.write_text("")
        variables = {
            "STACK": "orders",
            "BUCKET": "packages",
            "PACKAGE": self.folder / "function.zip",
            "PARAMETERS": self.folder / "orders.params",
            "AWS_REGION": "eu-central-1",
            **variables,
        }
        given = {name: str(value) for name, value in variables.items() if value is not None}
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ASKED": str(self.notes),
            "ANSWERS": json.dumps({**ANSWERS, **(answers or {})}),
            **given,
        }
        return subprocess.run(
            [ROOT / "deploy/deploy.sh", command], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def asked(self, part):
        return [line for line in self.notes.read_text().splitlines() if part in line]


@pytest.fixture
def script(tmp_path):
    return Script(tmp_path)


def changes(script):
    """All that is more than a question."""
    return [line for line in script.notes.read_text().splitlines() if any(
        word in line for word in ("s3 cp", "cloudformation deploy", "delete-stack")
    )]


@pytest.mark.parametrize(
    "missing, said",
    [
        ({"STACK": None}, "missing: STACK: the stack's name"),
        ({"AWS_REGION": None}, "missing: a region"),
        ({"BUCKET": None}, "missing: BUCKET: a bucket in the stack's region"),
        ({"PACKAGE": "dist/no.zip"}, "missing: dist/no.zip: make package builds it"),
        ({"PARAMETERS": None}, "missing: PARAMETERS: a file with lines Name=value"),
        ({"LAYER": "dist/no-layer.zip"}, "missing: dist/no-layer.zip, which LAYER names"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_changed(script, missing, said):
    answer = script("deploy", **missing)
    assert answer.returncode == 2 and said in answer.stderr
    assert changes(script) == []


def test_all_that_is_missing_is_said_at_once(script):
    answer = script("deploy", BUCKET=None, PARAMETERS=None, PACKAGE="dist/no.zip")
    assert answer.stderr.count("missing: ") == 3


@pytest.mark.parametrize(
    "answers, said",
    [
        ({"--version": "aws-cli/1.46.3"}, "aws, version 2"),
        ({"get-caller-identity": None}, "missing: credentials"),
        ({"head-bucket": None}, "or it is not the account 123456789012's"),
    ],
)
def test_what_aws_refuses_is_said_and_nothing_is_changed(script, answers, said):
    answer = script("deploy", answers)
    assert answer.returncode == 2 and said in answer.stderr
    assert changes(script) == []


def test_a_bucket_must_be_the_accounts_own_or_that_of_a_named_one(script):
    script("deploy")
    assert "--expected-bucket-owner 123456789012" in script.asked("head-bucket")[0]
    script("deploy", BUCKET_OWNER="999999999999")
    assert "--expected-bucket-owner 999999999999" in script.asked("head-bucket")[0]


def test_the_parameters_of_the_file_and_the_package_are_deployed_and_what_comes_next_is_said(script):
    answer = script("deploy")
    assert answer.returncode == 0, answer.stderr
    (upload,), (deployed,) = script.asked("s3 cp"), script.asked("cloudformation deploy")
    key = upload.rsplit("s3://packages/", 1)[1]
    assert deployed.endswith(
        "--parameter-overrides KafkaBootstrapServers=a:1,b:2 KafkaTopic=orders KafkaGroupId=billing"
        f" KafkaSecurityProtocol=SSL CodeBucket=packages CodeKey={key}"
    )
    assert "--function-name orders-Function-1 " in answer.stdout and "logs tail orders-LogGroup-1 " in answer.stdout


def test_a_package_has_a_key_of_its_own_and_keeps_it(script):
    def key():
        script("deploy")
        return script.asked("s3 cp")[0].rsplit("/", 1)[1]

    first = key()
    assert key() == first
    script.file("function.zip", "another package")
    assert key() != first


def test_a_layer_is_uploaded_where_one_is_named(script):
    script("deploy", LAYER=script.file("layer.zip", "a layer"))
    assert " LayerKey=orders/layer-" in script.asked("cloudformation deploy")[0]


def test_a_failed_upload_deploys_nothing(script):
    answer = script("deploy", {"s3 cp": None})
    assert answer.returncode != 0 and script.asked("cloudformation deploy") == []


def test_a_stack_that_was_never_made_is_said_with_what_to_do(script):
    answer = script("deploy", {"Stacks[0].StackStatus": "ROLLBACK_COMPLETE"})
    assert answer.returncode == 1 and "make destroy STACK=orders" in answer.stderr
    assert changes(script) == []


THERE = {"Stacks[0].StackStatus": "CREATE_COMPLETE"}


def test_a_stack_is_removed_by_its_name_said_again_and_its_table_is_named(script):
    answer = script("destroy", THERE, CONFIRM="orders")
    assert answer.returncode == 0, answer.stderr
    assert script.asked("delete-stack") and "ExistingTable=orders-Table-1" in answer.stdout


@pytest.mark.parametrize("confirm", [None, "yes", "order"])
def test_without_its_name_nothing_is_removed(script, confirm):
    answer = script("destroy", THERE, CONFIRM=confirm)
    assert answer.returncode == 2 and "nothing was removed" in answer.stderr
    assert changes(script) == []


def test_a_stack_that_is_not_there_cannot_be_removed(script):
    answer = script("destroy", CONFIRM="orders")
    assert answer.returncode == 1 and "there is no stack orders" in answer.stderr
