"""References that cfn-lint does not check: names in place of ARNs, and the other way."""

import re

import pytest

from stack import template

ARNS = {"Arn", "RoleArn", "Role", "Destination", "KmsKeyArn", "PermissionsBoundary", "CodeSigningConfigArn"}
NAMES = {"FunctionName", "RoleName", "GroupName", "LogGroup", "S3Bucket"}
LISTS_OF_ARNS = {"Layers", "AlarmActions", "OKActions"}
IDS = {
    "VpcId": "vpc",
    "SubnetIds": "subnet",
    "RouteTableIds": "rtb",
    "SecurityGroupIds": "sg",
    "SourceSecurityGroupId": "sg",
}


def leaves(node, key=None):
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, key)
    else:
        yield key, node


def test_properties_for_arns_have_arns_and_properties_for_names_have_names(every_stack):
    for name, resource in every_stack.resources.items():
        for key, value in leaves(resource["Properties"]):
            place = f"{name}: {key}: {value}"
            if key in ARNS | LISTS_OF_ARNS:
                assert value.startswith("arn:"), place
            if key in NAMES:
                assert not value.startswith("arn:"), place


def test_policies_name_arns_or_everything(every_stack):
    for name, role in every_stack.resources.items():
        for key, value in leaves(role["Properties"]):
            if key == "Resource":
                assert value == "*" or value.startswith("arn:"), f"{name}: {value}"


def test_ids_are_of_the_expected_kind(every_stack):
    for name, resource in every_stack.resources.items():
        for key, value in leaves(resource["Properties"]):
            if key in IDS:
                assert re.fullmatch(f"{IDS[key]}-[0-9a-f]+|made-up:EndpointGroup", value), f"{name}: {key}: {value}"


def test_nothing_in_a_stack_is_an_empty_text(every_stack):
    for name, resource in every_stack.resources.items():
        for key, value in leaves(resource["Properties"]):
            assert value != "", f"{name}: {key}"


def test_names_that_people_see_begin_with_the_stacks():
    for name, resource in template()["Resources"].items():
        for key in ("AlarmName", "DashboardName"):
            if key in resource.get("Properties", {}):
                assert resource["Properties"][key]["Fn::Sub"].startswith("${AWS::StackName}-"), name


def test_everything_else_is_named_by_cloudformation():
    """A fixed name would conflict with the next stack, and with every replacement."""
    for name, resource in template()["Resources"].items():
        taken = {"FunctionName", "TableName", "QueueName", "TopicName", "LogGroupName", "LayerName", "Name"}
        allowed = {"FunctionName"} if resource["Type"] == "AWS::Lambda::EventInvokeConfig" else set()
        assert not (taken - allowed) & resource.get("Properties", {}).keys(), name


def test_resources_with_positions_or_records_are_retained(every_stack):
    for name, resource in every_stack.resources.items():
        kept = name in ("Table", "DeadLetterQueue", "DeadLetterQueuePolicy")
        assert (resource["DeletionPolicy"] == "Retain") == kept, name
        assert (resource["UpdateReplacePolicy"] == "Retain") == kept, name


@pytest.mark.parametrize("name", template()["Outputs"])
def test_every_output_is_described(name):
    assert template()["Outputs"][name]["Description"]
