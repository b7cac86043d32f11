"""deploy/deploy.sh, with a simulated account in place of AWS's command line (fake_aws.py)."""

import functools
import json
import os
import subprocess
import sys

import botocore.session
import botocore.validate
from botocore import xform_name

import packages
from fake_aws import Account, change
from stack import ROOT, template

PARAMETERS = "# brokers\r\nKafkaBootstrapServers=a:1,b:2\r\n\nKafkaTopic=orders\nKafkaGroupId=billing\nKafkaSecurityProtocol=SSL"
FAKE = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT / "tests/deploy")!r})
import fake_aws
sys.exit(fake_aws.main(sys.argv[1:]))
"""
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders-DeadLetterQueue-1A2B"
NEW_QUEUE = change("Add", "DeadLetterQueue", "AWS::SQS::Queue")
TABLE = change("Modify", "Table", "AWS::DynamoDB::Table", Replacement="True", PhysicalResourceId="orders-Table-1A2B")


class Script:
    def __init__(self, folder):
        self.folder = folder
        self.account = Account(folder)
        self.command("aws", FAKE)
        # Not that of a version manager, which may put its own `aws` in front.
        self.command("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        packages.function(folder / "function.zip")
        self.file("orders.params", PARAMETERS)

    def command(self, name, content):
        (self.folder / name).write_text(content)
        (self.folder / name).chmod(0o755)

    def file(self, name, content):
        (self.folder / name).write_bytes(content.encode())
        return self.folder / name

    def add(self, *lines):
        self.file("orders.params", "\n".join([PARAMETERS, *lines]))

    def __call__(self, command, **variables):
        variables = {
            "STACK": "orders",
            "BUCKET": "packages",
            "PACKAGE": self.folder / "function.zip",
            "PARAMETERS": self.folder / "orders.params",
            "AWS_REGION": "eu-central-1",
            **variables,
        }
        given = {name: str(value) for name, value in variables.items() if value is not None}
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder), "FAKE_AWS": str(self.folder)}
        return subprocess.run(
            [ROOT / "deploy/deploy.sh", command],
            env={**environment, "PYTHONPYCACHEPREFIX": str(self.folder.parent / "compiled"), **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def changes(self):
        """The operations that have changed something."""
        return [call[1] for call in self.account.read()["calls"] if call[1:2] and call[1] in CHANGING]


CHANGING = {"cp", "create-change-set", "execute-change-set", "delete-stack"}


# By the command line's names.
SERVICES = {"cloudformation": "cloudformation", "s3api": "s3", "sts": "sts"}


@functools.cache
def model(service):
    return botocore.session.get_session().get_service_model(service)


def check_call(call):
    """Asserts that AWS's own model of the service accepts the call."""
    if call[0] not in SERVICES or call[1] == "describe-events":  # Of November 2025: not in each model yet.
        return
    operation = "".join(word.capitalize() for word in call[1].split("-"))
    shape = model(SERVICES[call[0]]).operation_model(operation).input_shape
    names = {"--" + xform_name(member, "-"): member for member in (shape.members if shape else ())}
    options = dict(zip(call[2::2], call[3::2]))
    assert options.pop("--output") == "json"
    options.pop("--max-items", None)
    if "--filters" in options:
        options["--filters"] = json.dumps({name: value == "true" for name, value in [options["--filters"].split("=")]})
    assert options.keys() <= names.keys(), call
    values = {}
    for option, value in options.items():
        kind = shape.members[names[option]].type_name
        values[names[option]] = [value] if option == "--capabilities" else value if kind == "string" else json.loads(value)
    if shape:
        report = botocore.validate.ParamValidator().validate(values, shape)
        assert not report.has_errors(), report.generate_report()
