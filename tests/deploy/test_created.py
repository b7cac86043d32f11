"""moto creates a stack of the template. It leaves out the schedules and the alarms and checks no rules, so this
shows only that the rest resolves and is created."""

import copy
import io
import json
import os
import re
import zipfile

import boto3
import moto
import pytest

from stack import REQUIRED, STACKS, stack, template

REGION = "eu-central-1"
LEFT_OUT = {
    "AWS::CloudWatch::Alarm",
    "AWS::IAM::RolePolicy",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::SQS::QueuePolicy",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
}


@pytest.fixture
def account(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with moto.mock_aws():
        bucket = boto3.client("s3")
        bucket.create_bucket(
            Bucket=REQUIRED["CodeBucket"], CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        for key in ("function-1.zip", "layer-1.zip"):
            bucket.put_object(Bucket=REQUIRED["CodeBucket"], Key=key, Body=package())
        yield


def package():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bootstrap", "")
    return packed.getvalue()


def network():
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24")["Subnet"]["SubnetId"] for number in range(2)
    ]
    groups = [
        ec2.create_security_group(VpcId=vpc, GroupName=name, Description=name)["GroupId"] for name in ("a", "b")
    ]
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    return {
        "SubnetIds": ",".join(subnets),
        "EndpointSubnetIds": subnets[0],
        "SecurityGroupIds": ",".join(groups),
        "VpcId": vpc,
        "RouteTableIds": ",".join(tables),
    }


def template_for_moto():
    """As JSON: in YAML moto does not support `!Condition`. It also refuses the ARNs of what it leaves out."""
    made = copy.deepcopy(template())
    made["Resources"]["ScheduleRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition")
    return re.sub(r"\$\{\w+Alarm\.Arn\}", "left-out", json.dumps(made))


@pytest.mark.filterwarnings("ignore:Tried to parse")
@pytest.mark.parametrize("name", STACKS)
def test_the_stack_is_created(account, name):
    parameters = {**REQUIRED, **STACKS[name]}
    # moto requires them to exist, and they are no part of the stack.
    for absent in ("CodeSigningConfigArn", "LayerArn", "CodeVersion"):
        parameters.pop(absent, None)
    if "SubnetIds" in parameters:
        made = network()
        parameters.update({key: made[key] for key in parameters.keys() & made.keys()})
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName="orders",
        TemplateBody=template_for_moto(),
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    status = cloudformation.describe_stacks(StackName="orders")["Stacks"][0]
    assert status["StackStatus"] == "CREATE_COMPLETE"
    made = cloudformation.describe_stack_resources(StackName="orders")["StackResources"]
    expected = {
        logical: resource["Type"]
        for logical, resource in stack(name).resources.items()
        if resource["Type"] not in LEFT_OUT
    }
    assert expected == {
        each["LogicalResourceId"]: each["ResourceType"] for each in made if each.get("ResourceType") in expected.values()
    }
    assert {each["OutputKey"] for each in status["Outputs"]} >= {"FunctionName", "TableName", "LogGroupName"}

    function = boto3.client("lambda").list_functions()["Functions"][0]
    table = function["Environment"]["Variables"]["DYNAMODB_TABLE"]
    if "ExistingTable" not in parameters:
        keys = boto3.client("dynamodb").describe_table(TableName=table)["Table"]["KeySchema"]
        assert [key["AttributeName"] for key in keys] == ["consumer_id", "partition"]
