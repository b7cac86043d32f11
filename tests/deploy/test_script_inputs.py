"""deploy/deploy.sh with wrong inputs: each is reported before anything is changed."""

import pytest

import packages


@pytest.mark.parametrize(
    "wrong, expected",
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
def test_missing_inputs_are_reported_and_nothing_is_changed(script, wrong, expected):
    result = script("deploy", **wrong)
    assert result.returncode == 2 and expected in result.stderr
    assert script.changes() == []


def test_all_errors_are_reported_at_once(script):
    script.add("OnFailiure=queue", "KafkaTopic=again")
    result = script("deploy", BUCKET=None, PACKAGE="dist/no.zip", TAGS="team")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 5


def test_a_misspelt_parameter_is_refused_with_the_right_name(script):
    script.add("OnFailiure=queue")
    result = script("deploy")
    assert result.returncode == 2 and "line 7: there is no parameter 'OnFailiure': is OnFailure meant?" in result.stderr
    assert script.changes() == []


def test_a_parameter_that_the_file_lacks_is_reported(script):
    script.file("orders.params", "KafkaTopic=orders")
    result = script("deploy")
    assert "KafkaBootstrapServers is needed" in result.stderr and script.changes() == []


@pytest.mark.parametrize(
    "state, expected",
    [
        ({"version": "aws-cli/1.46.3 Python/3.11"}, "missing: AWS's command line, aws, version 2"),
        ({"refuses": {"get-caller-identity": ["ExpiredToken", "The security token is expired"]}}, "The security token is expired"),
        ({"buckets": {}}, "it does not exist"),
        ({"buckets": {"packages": {"region": "eu-central-1", "owner": "999999999999"}}}, "or it is not the account 123456789012's"),
        ({"buckets": {"packages": {"region": "us-east-1", "owner": "123456789012"}}}, "is in us-east-1, and the stack in eu-central-1"),
        ({"buckets": {"packages": {"region": "us-east-1", "owner": "123456789012", "old": True}}}, "is in us-east-1, and the stack"),
    ],
)
def test_a_refusal_of_aws_is_reported_and_nothing_is_changed(script, state, expected):
    script.account.arrange(**state)
    result = script("deploy")
    assert result.returncode == 2 and expected in result.stderr
    assert script.changes() == []


def test_a_refusal_is_an_error_and_not_an_absent_stack(script):
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


def test_an_unknown_command_prints_the_usage(script):
    result = script("remove")
    assert result.returncode == 2 and result.stderr == "usage: deploy.sh deploy|destroy\n"


def test_an_old_python_is_reported(script):
    script.command("python3", "#!/bin/sh\nexit 1\n")
    result = script("deploy")
    assert result.returncode == 2 and result.stderr == "missing: python3, version 3.8 or later\n"
