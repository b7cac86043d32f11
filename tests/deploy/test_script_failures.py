"""deploy/deploy.sh: failed deployments."""

import json

import pytest

from fake_aws import change
from script import NEW_QUEUE, QUEUE_URL


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
def test_a_state_in_which_nothing_can_be_deployed_is_reported_before_anything_is_uploaded(deployed, status):
    state = deployed.account.read()
    for each in state["stacks"].values():
        each["status"] = status
    deployed.account.write({**state, "calls": []})
    result = deployed("deploy")
    assert result.returncode == 1 and result.stderr.startswith("the stack orders ") and f"({status})" in result.stderr
    assert deployed.changes() == []
