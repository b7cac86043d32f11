"""deploy/deploy.sh, with an account of its own in the place of AWS's command line (fake_aws.py)."""

import functools
import json
import os
import shutil
import subprocess
import sys

import botocore.session
import botocore.validate
import pytest
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
        # Not the one of a version manager, which may put an `aws` of its own before this one.
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
        """What has changed anything, by its operation."""
        return [call[1] for call in self.account.read()["calls"] if call[1:2] and call[1] in CHANGING]


CHANGING = {"cp", "create-change-set", "execute-change-set", "delete-stack"}


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
    """A script whose stack is there, from the same package and file."""
    shutil.copytree(deployed_once.folder / "s3", script.folder / "s3")
    script.account.write({**deployed_once.account.read(), "calls": []})
    return script


# By the command line's names.
SERVICES = {"cloudformation": "cloudformation", "s3api": "s3", "sts": "sts"}


@functools.cache
def model(service):
    return botocore.session.get_session().get_service_model(service)


def check_call(call):
    """It is one that AWS's own model of the service takes."""
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


# --- What is wrong is said before anything is changed


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"STACK": None}, "missing: STACK: the stack's name"),
        ({"STACK": "my stack"}, "missing: STACK: the stack's name"),
        ({"AWS_REGION": None}, "missing: a region"),
        ({"BUCKET": None}, "missing: BUCKET: a bucket in the stack's region"),
        ({"PACKAGE": "dist/no.zip"}, "missing: dist/no.zip: make package builds it"),
        ({"PARAMETERS": None}, "missing: PARAMETERS: a file (UTF-8) with lines Name=value, at least KafkaBootstrapServers"),
        ({"PARAMETERS": "no.params"}, "missing: PARAMETERS: a file"),
        ({"LAYER": "dist/no-layer.zip"}, "missing: dist/no-layer.zip: LAYER names it"),
        ({"TAGS": "team"}, "TAGS must be key=value"),
        ({"ROLE_ARN": "deployer"}, "ROLE_ARN must be the ARN of a role"),
        ({"SSE": "kms"}, "SSE must be one of AES256, aws:kms, aws:kms:dsse"),
        ({"SSE": "AES256", "SSE_KMS_KEY_ID": "alias/x"}, "SSE_KMS_KEY_ID goes with"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_changed(script, wrong, said):
    result = script("deploy", **wrong)
    assert result.returncode == 2 and said in result.stderr
    assert script.changes() == []


def test_all_that_is_wrong_is_said_at_once(script):
    script.add("OnFailiure=queue", "KafkaTopic=again")
    result = script("deploy", BUCKET=None, PACKAGE="dist/no.zip", TAGS="team")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 5


def test_a_misspelt_parameter_is_refused_with_the_right_name(script):
    script.add("OnFailiure=queue")
    result = script("deploy")
    assert result.returncode == 2 and "line 7: there is no parameter 'OnFailiure': is OnFailure meant?" in result.stderr
    assert script.changes() == []


def test_what_the_file_lacks_is_said(script):
    script.file("orders.params", "KafkaTopic=orders")
    result = script("deploy")
    assert "KafkaBootstrapServers is needed" in result.stderr and script.changes() == []


@pytest.mark.parametrize(
    "state, said",
    [
        ({"version": "aws-cli/1.46.3 Python/3.11"}, "missing: AWS's command line, aws, version 2"),
        ({"refuses": {"get-caller-identity": ["ExpiredToken", "The security token is expired"]}}, "The security token is expired"),
        ({"buckets": {}}, "it does not exist"),
        ({"buckets": {"packages": {"region": "eu-central-1", "owner": "999999999999"}}}, "or it is not the account 123456789012's"),
        ({"buckets": {"packages": {"region": "us-east-1", "owner": "123456789012"}}}, "is in us-east-1, and the stack in eu-central-1"),
        ({"buckets": {"packages": {"region": "us-east-1", "owner": "123456789012", "old": True}}}, "is in us-east-1, and the stack"),
    ],
)
def test_what_aws_refuses_is_said_and_nothing_is_changed(script, state, said):
    script.account.arrange(**state)
    result = script("deploy")
    assert result.returncode == 2 and said in result.stderr
    assert script.changes() == []


def test_a_refusal_is_not_taken_for_an_absent_stack(script):
    script.account.arrange(refuses={"describe-stacks": ["AccessDenied", "not authorized to perform: cloudformation:DescribeStacks"]})
    for command in ("deploy", "destroy"):
        result = script(command, CONFIRM="orders")
        assert result.returncode == 1 and "not authorized to perform: cloudformation:DescribeStacks" in result.stderr
    assert script.changes() == []


def test_a_bucket_may_be_that_of_a_named_account(script):
    script.account.arrange(buckets={"packages": {"region": "eu-central-1", "owner": "999999999999"}})
    assert script("deploy", BUCKET_OWNER="999999999999").returncode == 0


def test_the_profiles_region_is_taken_where_none_is_set(script):
    script.account.arrange(region="eu-central-1")
    assert script("deploy", AWS_REGION=None).returncode == 0


# --- What fits together


@pytest.mark.parametrize("processor", ["x86_64", "arm64"])
def test_the_function_gets_the_processor_that_its_package_was_built_for(script, processor):
    packages.function(script.folder / "function.zip", processor)
    assert script("deploy").returncode == 0
    assert script.account.stack()["parameters"]["Architecture"] == processor


def test_a_file_that_names_another_processor_than_the_package_is_refused(script):
    script.add("Architecture=arm64")
    result = script("deploy")
    assert result.returncode == 2 and "was built for x86_64, and" in result.stderr and script.changes() == []


def test_a_layer_for_another_processor_is_refused(script):
    result = script("deploy", LAYER=packages.layer(script.folder / "layer.zip", "arm64"))
    assert result.returncode == 2 and "layer.zip was built for arm64" in result.stderr


def test_a_function_that_needs_a_layer_is_not_deployed_without_one(script):
    packages.function(script.folder / "function.zip", needs=("librdkafka.so.1",))
    result = script("deploy")
    assert result.returncode == 2 and "needs a layer: LAYER=dist/layer.zip" in result.stderr
    assert script("deploy", LAYER=packages.layer(script.folder / "layer.zip")).returncode == 0
    assert script.account.stack()["parameters"]["LayerKey"].startswith("orders/layer-")


# --- A deployment


def test_the_parameters_of_the_file_and_the_package_are_deployed_and_what_comes_next_is_said(script):
    result = script("deploy", PARAMETERS="orders.params")
    assert result.returncode == 0, result.stderr
    made = script.account.stack()
    assert made["status"] == "CREATE_COMPLETE"
    defaults = {name: str(rules.get("Default")) for name, rules in template()["Parameters"].items()}
    assert made["parameters"] == {
        **defaults,
        "KafkaBootstrapServers": "a:1,b:2",
        "KafkaTopic": "orders",
        "KafkaGroupId": "billing",
        "KafkaSecurityProtocol": "SSL",
        "CodeBucket": "packages",
        "CodeKey": made["parameters"]["CodeKey"],
    }
    assert f"packages/{made['parameters']['CodeKey']}" in script.account.uploaded()
    assert "--function-name orders-Function-1A2B " in result.stdout and "logs tail orders-LogGroup-1A2B " in result.stdout
    assert result.stdout.endswith("No one is notified when an alarm goes off: set AlarmEmail or AlarmTopicArn.\n")


def test_a_deployment_ends_with_who_is_notified(script):
    script.add("AlarmEmail=ops@example.com")
    assert "Alarms notify ops@example.com" in script("deploy").stdout


def test_a_package_has_a_key_of_its_own_and_keeps_it(deployed):
    first = deployed.account.stack()["parameters"]["CodeKey"]
    packages.function(deployed.folder / "function.zip", needs=("libm.so.6",))
    deployed("deploy")
    second = deployed.account.stack()["parameters"]["CodeKey"]
    packages.function(deployed.folder / "function.zip")
    deployed("deploy")
    assert first != second and deployed.account.stack()["parameters"]["CodeKey"] == first


def test_a_deployment_without_changes_is_none(deployed):
    result = deployed("deploy")
    assert result.returncode == 0 and "Nothing changes" in result.stdout
    assert deployed.account.calls("cloudformation", "execute-change-set") == []
    assert deployed.account.read()["change_sets"] == {}


def test_what_is_taken_out_of_the_file_goes_back_to_the_default_and_is_shown(script):
    script.add("OnTruncation=latest")
    script("deploy")
    script.file("orders.params", PARAMETERS)
    result = script("deploy")
    line, = (line.split() for line in result.stdout.splitlines() if line.startswith("OnTruncation"))
    assert line == ["OnTruncation", "latest", "halt"]
    assert script.account.stack()["parameters"]["OnTruncation"] == "halt"


def test_tags_and_a_role_are_given_to_cloudformation(script):
    role = "arn:aws:iam::123456789012:role/cloudformation"
    assert script("deploy", TAGS="team=x 'cost=1 2'", ROLE_ARN=role).returncode == 0
    assert script.account.stack()["tags"] == [{"Key": "team", "Value": "x"}, {"Key": "cost", "Value": "1 2"}]
    made, = script.account.calls("cloudformation", "create-change-set")
    assert made[made.index("--role-arn") + 1] == role


def test_without_tags_the_stack_keeps_those_it_has(script):
    script("deploy", TAGS="team=x")
    script.add("MemorySize=1024")
    script("deploy")
    assert script.account.stack()["tags"] == [{"Key": "team", "Value": "x"}]


def test_uploads_are_encrypted_as_the_bucket_demands(script):
    script.account.arrange(buckets={"packages": {"region": "eu-central-1", "owner": "123456789012", "demands": "aws:kms"}})
    result = script("deploy")
    assert result.returncode == 1 and "could not be uploaded" in result.stderr and "Access Denied" in result.stderr
    assert script("deploy", SSE_KMS_KEY_ID="alias/packages").returncode == 0
    for call in script.account.calls("s3", "cp")[-2:]:
        assert call[call.index("--sse") :][:4] == ["--sse", "aws:kms", "--sse-kms-key-id", "alias/packages"]


def test_in_china_the_template_is_named_by_chinas_hosts(script):
    script.account.arrange(partition="aws-cn")
    assert script("deploy").returncode == 0
    made, = script.account.calls("cloudformation", "create-change-set")
    assert made[made.index("--template-url") + 1].startswith("https://s3.eu-central-1.amazonaws.com.cn/packages/orders/template-")


def test_a_value_that_cloudformation_refuses_leaves_no_package_and_no_stack(script):
    script.add("MaxMessages=many")
    result = script("deploy")
    assert result.returncode == 1 and "MaxMessages failed to satisfy constraint: must be a whole number" in result.stderr
    assert script.account.stack() is None and not any("function" in each for each in script.account.uploaded())


def test_what_aws_finds_wrong_before_it_makes_anything_is_said(script):
    script.account.arrange(validation=[{"LogicalResourceId": "Function", "ValidationPath": "/Timeout", "ValidationStatusReason": "too long"}])
    result = script("deploy")
    assert result.returncode == 1 and "failed: Function /Timeout: too long" in result.stderr
    assert script.account.stack() is None


def test_an_operation_is_watched_to_its_end(script):
    script.account.arrange(slow=1)
    result = script("deploy")
    assert result.returncode == 0 and "create_complete  Function" in result.stdout


def test_a_stack_of_which_there_is_only_a_change_set_is_created(script):
    script("deploy", PLAN=1)
    script.account.arrange(stacks={"arn:aws:cloudformation:eu-central-1:123456789012:stack/orders/9": {
        "name": "orders", "status": "REVIEW_IN_PROGRESS", "parameters": {}, "resources": {}, "events": [], "gone": False, "tags": [],
    }})
    assert script("deploy").returncode == 0 and script.account.stack()["status"] == "CREATE_COMPLETE"


# --- A plan


def test_a_plan_shows_what_would_be_made_and_leaves_nothing(script):
    result = script("deploy", PLAN=1)
    assert result.returncode == 0 and "add     Table  " in result.stdout and "Nothing was changed (PLAN)." in result.stdout
    assert script.account.stack() is None and script.account.calls("cloudformation", "execute-change-set") == []
    assert [each.split("/")[2][:9] for each in script.account.uploaded()] == ["template-"]


def test_a_plan_of_a_stack_that_is_there_shows_parameters_and_resources_and_leaves_it_alone(deployed):
    before = deployed.account.stack()
    deployed.add("MemorySize=1024")
    result = deployed("deploy", PLAN=1)
    assert "MemorySize  512          1024" in result.stdout
    assert "modify  Function  AWS::Lambda::Function" in result.stdout
    assert deployed.account.stack() == before and deployed.account.read()["change_sets"] == {}


def test_a_plan_warns_where_the_table_would_be_replaced(deployed):
    deployed.account.arrange(changes=[TABLE])
    result = deployed("deploy", PLAN=1)
    assert result.returncode == 0 and "WARNING: a new, empty table of cursors" in result.stdout


def test_what_loses_cursors_needs_the_stacks_name(deployed):
    deployed.account.arrange(changes=[TABLE])
    deployed.add("MemorySize=1024")
    result = deployed("deploy")
    assert result.returncode == 2 and "nothing was changed (CONFIRM=orders" in result.stderr
    assert deployed.account.stack()["parameters"]["MemorySize"] == "512" and deployed.account.read()["change_sets"] == {}
    assert deployed("deploy", CONFIRM="orders").returncode == 0
    assert deployed.account.stack()["parameters"]["MemorySize"] == "1024"


# --- Failures


def test_a_failed_first_deployment_prints_the_resource_and_the_reason(script):
    script.account.arrange(fails={"Dashboard": "quota exceeded"})
    result = script("deploy")
    assert result.returncode == 1
    assert result.stderr.splitlines()[:2] == [
        "failed: Dashboard (AWS::CloudWatch::Dashboard): quota exceeded",
        "the stack orders could not be created, and only what is retained is left of it; next: make destroy STACK=orders "
        "(ROLLBACK_COMPLETE)",
    ]


def test_the_table_of_a_first_deployment_that_failed_is_named_with_what_removes_and_reuses_it(script):
    script.account.arrange(fails={"Function": "Access denied"})
    left = [
        "ExistingTable=orders-Table-1A2B ",
        "aws dynamodb update-table --table-name orders-Table-1A2B --no-deletion-protection-enabled",
    ]
    first, again = script("deploy"), script("deploy")
    for result in (first, again):
        assert result.returncode == 1
        for each in ["failed: Function (AWS::Lambda::Function): Access denied", "make destroy STACK=orders", *left]:
            assert each in result.stderr
    script.account.arrange(fails={})
    result = script("destroy", CONFIRM="orders")
    assert result.returncode == 0 and "Kept: orders-Table-1A2B." in result.stdout
    assert all(each in result.stdout for each in left)
    assert script("deploy").returncode == 0


def test_a_failed_update_prints_the_resource_and_the_reason(deployed):
    deployed.add("MemorySize=10240")
    deployed.account.arrange(fails={"Function": "'MemorySize' value failed to satisfy constraint"})
    result = deployed("deploy")
    assert result.returncode == 1
    assert "failed: Function (AWS::Lambda::Function): 'MemorySize' value failed" in result.stderr
    assert "cancelled" not in result.stderr and "(UPDATE_ROLLBACK_COMPLETE)" in result.stderr


def test_a_queue_that_a_failed_update_has_made_is_named(deployed):
    deployed.add("OnFailure=queue")
    deployed.account.arrange(changes=[NEW_QUEUE, change("Modify", "Function", "AWS::Lambda::Function")], fails={"Function": "no"})
    result = deployed("deploy")
    assert result.returncode == 1 and f"aws sqs delete-queue --queue-url {QUEUE_URL}" in result.stderr
    assert "ExistingTable" not in result.stderr, "the table is still the stack's"


def test_a_queue_that_an_update_takes_out_of_the_stack_is_named(deployed):
    deployed.add("OnFailure=queue")
    deployed.account.arrange(changes=[NEW_QUEUE])
    deployed("deploy")
    deployed.add("OnFailure=skip")
    deployed.account.arrange(changes=[{**NEW_QUEUE, "Action": "Remove", "PolicyAction": "Retain", "PhysicalResourceId": QUEUE_URL}])
    result = deployed("deploy", CONFIRM="orders")
    assert result.returncode == 0, result.stderr
    assert f"WARNING: the queue of dead letters {QUEUE_URL} stays" in result.stdout
    assert f"aws sqs delete-queue --queue-url {QUEUE_URL}" in result.stdout


def test_a_change_that_may_not_be_executed_leaves_nothing(script):
    script.account.arrange(refuses={"execute-change-set": ["AccessDenied", "not authorized to perform: cloudformation:ExecuteChangeSet"]})
    result = script("deploy")
    assert result.returncode == 1 and "cloudformation:ExecuteChangeSet" in result.stderr and script.account.stack() is None


def test_a_package_that_cannot_be_uploaded_leaves_nothing(script):
    plan = script("deploy", PLAN=1)
    made, = script.account.calls("cloudformation", "create-change-set")
    parameters = json.loads(made[made.index("--parameters") + 1])
    key, = (each["ParameterValue"] for each in parameters if each["ParameterKey"] == "CodeKey")
    script.account.arrange(unwritable=key.split("/")[1])
    result = script("deploy")
    assert plan.returncode == 0 and result.returncode == 1 and "function.zip could not be uploaded" in result.stderr
    assert script.account.stack() is None and script.account.calls("cloudformation", "execute-change-set") == []


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "ROLLBACK_FAILED", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED", "DELETE_IN_PROGRESS"])
def test_a_state_in_which_nothing_can_be_deployed_is_said_before_anything_is_uploaded(deployed, status):
    state = deployed.account.read()
    for each in state["stacks"].values():
        each["status"] = status
    deployed.account.write({**state, "calls": []})
    result = deployed("deploy")
    assert result.returncode == 1 and result.stderr.startswith("the stack orders ") and f"({status})" in result.stderr
    assert deployed.changes() == []


# --- A removal


def test_a_stack_is_removed_by_its_name_said_again_and_what_is_kept_is_named(deployed):
    result = deployed("destroy", CONFIRM="orders")
    assert result.returncode == 0, result.stderr
    assert deployed.account.stack() is None
    assert "Kept: orders-Table-1A2B." in result.stdout and "ExistingTable=orders-Table-1A2B" in result.stdout


def test_a_queue_of_dead_letters_is_named_only_where_there_is_one(deployed):
    deployed.add("OnFailure=queue")
    deployed.account.arrange(changes=[NEW_QUEUE])
    deployed("deploy")
    result = deployed("destroy", CONFIRM="orders")
    assert f"Kept: orders-Table-1A2B and {QUEUE_URL}." in result.stdout
    assert "OnFailure=arn:aws:sqs:eu-central-1:123456789012:orders-DeadLetterQueue-1A2B" in result.stdout


@pytest.mark.parametrize("confirm", [None, "yes", "order"])
def test_without_its_name_nothing_is_removed(deployed, confirm):
    result = deployed("destroy", CONFIRM=confirm)
    assert result.returncode == 2 and "nothing was changed" in result.stderr
    assert deployed.account.stack()["status"] == "CREATE_COMPLETE"


def test_a_failed_removal_prints_the_resource_and_the_reason(deployed):
    deployed.account.arrange(fails={"FunctionRole": "Cannot delete entity, must detach all policies first."})
    result = deployed("destroy", CONFIRM="orders")
    assert result.returncode == 1
    assert "failed: FunctionRole (AWS::IAM::Role): Cannot delete entity" in result.stderr and "(DELETE_FAILED)" in result.stderr


def test_a_stack_that_is_not_there_cannot_be_removed(script):
    result = script("destroy", CONFIRM="orders")
    assert result.returncode == 1 and "there is no stack orders in the account 123456789012" in result.stderr


def test_an_unknown_command_prints_the_usage(script):
    result = script("remove")
    assert result.returncode == 2 and result.stderr == "usage: deploy.sh deploy|destroy\n"


def test_an_old_python_is_said(script):
    script.command("python3", "#!/bin/sh\nexit 1\n")
    result = script("deploy")
    assert result.returncode == 2 and result.stderr == "missing: python3, version 3.8 or later\n"
