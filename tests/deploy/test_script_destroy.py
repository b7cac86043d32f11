"""deploy/deploy.sh destroy."""

import pytest

from script import NEW_QUEUE, QUEUE_URL


def test_a_stack_is_removed_with_its_name_as_confirmation_and_retained_resources_are_named(deployed):
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
