"""Messages about a stack."""

import botocore.session
import pytest

import stacks
from stack import template

STATUSES = botocore.session.get_session().get_service_model("cloudformation").shape_for("StackStatus").enum
BEFORE = {"ExistingTable": "", "KafkaGroupId": "billing", "OnFailure": "queue"}


def test_each_state_of_a_stack_has_a_message():
    assert stacks.STATES.keys() == set(STATUSES)


@pytest.mark.parametrize("status", STATUSES)
def test_a_state_without_deployments_has_an_explanation_and_a_next_step(status):
    message = stacks.sentence("orders", status)
    assert message.startswith("the stack orders ") and message.endswith(f" ({status})") and "{" not in message
    if not stacks.can_be_deployed(status):
        assert "aws cloudformation " in message or "make destroy STACK=orders" in message


@pytest.mark.parametrize("status", STATUSES)
def test_nothing_is_done_to_a_stack_that_is_changing(status):
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        assert not stacks.can_be_deployed(status) and not stacks.can_be_removed(status)


def test_an_unknown_state_is_reported_and_nothing_is_done():
    assert "does not know" in stacks.sentence("orders", "PAUSED") and not stacks.can_be_deployed("PAUSED")


def test_the_retained_resources_are_those_of_the_template():
    retained = {name for name, each in template()["Resources"].items() if each.get("DeletionPolicy") == "Retain"}
    assert retained == {*stacks.RETAINED, "DeadLetterQueuePolicy"}, "and a policy goes with its queue"


def change(action, name, kind, replacement="False", **others):
    return {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Replacement": replacement, **others}


def test_a_change_names_the_action_the_resource_and_the_cause():
    details = [
        {"Target": {"Attribute": "Properties", "Name": "Environment"}},
        {"Target": {"Attribute": "Properties", "Name": "Environment"}},
        {"Target": {"Attribute": "Tags"}},
    ]
    assert stacks.changed_resources(
        [
            change("Modify", "Function", "AWS::Lambda::Function", Details=details),
            change("Modify", "Layer", "AWS::Lambda::LayerVersion", "True"),
            change("Modify", "Table", stacks.TABLE, "Conditional"),
            change("Remove", "DeadLetterQueue", stacks.QUEUE, PolicyAction="Retain"),
            change("Remove", "Schedule4", "AWS::Scheduler::Schedule", PolicyAction="Delete"),
        ]
    ) == [
        ("modify", "Function", "AWS::Lambda::Function", "Environment, Tags"),
        ("replace", "Layer", "AWS::Lambda::LayerVersion", ""),
        ("may be replaced", "Table", stacks.TABLE, ""),
        ("leave", "DeadLetterQueue", stacks.QUEUE, ""),
        ("remove", "Schedule4", "AWS::Scheduler::Schedule", ""),
    ]


@pytest.mark.parametrize(
    "before, after, made, expected",
    [
        ({}, {}, change("Modify", "Table", stacks.TABLE, "True", PhysicalResourceId="old"), "ExistingTable=old keeps the cursors"),
        ({}, {}, change("Modify", "Table", stacks.TABLE, "Conditional", PhysicalResourceId="old"), "read again from StartPosition"),
        ({"ExistingTable": "t"}, {}, change("Add", "Table", stacks.TABLE), "ExistingTable=t keeps the cursors"),
        ({}, {"ExistingTable": "t"}, change("Remove", "Table", stacks.TABLE, PhysicalResourceId="old"), "cursors are read from ExistingTable=t"),
        ({"ExistingTable": "t"}, {"ExistingTable": "u"}, None, "the table u in place of t"),
        ({}, {"KafkaGroupId": "other"}, None, "another KafkaGroupId has other cursors"),
        ({}, {}, change("Remove", "DeadLetterQueue", stacks.QUEUE, PhysicalResourceId="url"), "url stays in the account"),
        ({}, {}, change("Modify", "DeadLetterQueue", stacks.QUEUE, "True", PhysicalResourceId="url"), "url stays in the account"),
        ({}, {}, change("Remove", "FailedInvocationsQueue", stacks.QUEUE, PhysicalResourceId="url"), "url is deleted"),
    ],
)
def test_changes_that_lose_cursors_or_messages_cause_a_warning(before, after, made, expected):
    warning, = stacks.warnings({**BEFORE, **before}, {**BEFORE, **after}, [made] if made else [])
    assert expected in warning


@pytest.mark.parametrize(
    "after, made",
    [
        ({}, change("Modify", "Table", stacks.TABLE)),
        ({}, change("Add", "DeadLetterQueue", stacks.QUEUE)),
        ({"ExistingTable": "old"}, change("Remove", "Table", stacks.TABLE, PhysicalResourceId="old")),
        ({}, change("Modify", "Function", "AWS::Lambda::Function", "True")),
    ],
)
def test_changes_that_lose_nothing_cause_no_warning(after, made):
    assert stacks.warnings(BEFORE, {**BEFORE, **after}, [made]) == []


def event(status, name="orders", reason=None, **others):
    physical = "arn:stack" if name == "orders" else f"{name}-1"
    return {
        "StackId": "arn:stack",
        "EventId": others.pop("id", status + name),
        "LogicalResourceId": name,
        "PhysicalResourceId": physical,
        "ResourceType": "A::B::C",
        "ResourceStatus": status,
        **({"ResourceStatusReason": reason} if reason else {}),
        **others,
    }


def test_failed_resources_are_named_with_the_reason_and_cancelled_ones_are_not():
    assert stacks.failures(
        [
            event("CREATE_IN_PROGRESS", reason="User Initiated"),
            event("CREATE_FAILED", "Function", "no such bucket"),
            event("CREATE_FAILED", "LogGroup", "Resource creation cancelled"),
            event("DELETE_FAILED", reason="The following resource(s) failed to delete: [Table]."),
        ]
    ) == ["Function (A::B::C): no such bucket"]


def test_a_hook_of_the_account_is_named_with_its_message():
    made = event("CREATE_IN_PROGRESS", "ErrorsAlarm", HookStatus="HOOK_COMPLETE_FAILED", HookStatusReason="[CT.CLOUDWATCH.PR.1]: no action", HookType="AWS::ControlTower::Hook")
    assert stacks.failures([made]) == ["ErrorsAlarm (A::B::C): [CT.CLOUDWATCH.PR.1]: no action [hook AWS::ControlTower::Hook]"]


def test_an_operation_has_ended_when_the_stack_itself_has_a_final_state():
    going = [event("UPDATE_IN_PROGRESS"), event("UPDATE_COMPLETE", "Function"), event("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")]
    assert stacks.outcome(going) is None and stacks.outcome([]) is None
    assert stacks.outcome([*going, event("UPDATE_COMPLETE")]) == "UPDATE_COMPLETE"


def test_only_events_after_the_last_known_one_are_new():
    newest_first = [event("C", "x"), event("B", "x"), event("A", "x")]
    assert [each["ResourceStatus"] for each in stacks.new_events(newest_first, "Ax")] == ["B", "C"]
    assert [each["ResourceStatus"] for each in stacks.new_events(newest_first, None)] == ["A", "B", "C"]


def test_the_last_operation_begins_where_a_user_started_it():
    newest_first = [
        event("ROLLBACK_COMPLETE"),
        event("CREATE_FAILED", "Function", "new"),
        event("CREATE_IN_PROGRESS", reason="User Initiated"),
        event("REVIEW_IN_PROGRESS", reason="User Initiated"),
    ]
    assert len(stacks.last_operation(newest_first)) == 3


def test_retained_resources_are_named_with_how_to_reuse_and_how_to_remove_them():
    resources = [
        {"LogicalResourceId": "Table", "PhysicalResourceId": "orders-Table-1", "ResourceStatus": "DELETE_SKIPPED"},
        {
            "LogicalResourceId": "DeadLetterQueue",
            "PhysicalResourceId": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/dead-1",
            "ResourceStatus": "DELETE_SKIPPED",
        },
        {"LogicalResourceId": "Function", "PhysicalResourceId": "f", "ResourceStatus": "DELETE_COMPLETE"},
    ]
    text = "\n".join(stacks.what_is_left(stacks.leftovers(resources), "aws-cn"))
    for each in (
        "ExistingTable=orders-Table-1 ",
        "aws dynamodb update-table --table-name orders-Table-1 --no-deletion-protection-enabled",
        "aws dynamodb delete-table --table-name orders-Table-1",
        "OnFailure=arn:aws-cn:sqs:cn-north-1:123456789012:dead-1 ",
        "aws sqs delete-queue --queue-url https://sqs.cn-north-1.amazonaws.com.cn/123456789012/dead-1",
    ):
        assert each in text


def test_removed_or_never_created_resources_are_not_named_as_retained():
    resources = [
        {"LogicalResourceId": "Table", "PhysicalResourceId": "t", "ResourceStatus": "DELETE_COMPLETE"},
        {"LogicalResourceId": "DeadLetterQueue", "PhysicalResourceId": "", "ResourceStatus": "CREATE_FAILED"},
    ]
    assert stacks.what_is_left(stacks.leftovers(resources), "aws") == []


def test_a_password_in_plain_text_causes_a_remark():
    def remarks(protocol, mechanism):
        return stacks.remarks({"KafkaSecurityProtocol": protocol, "KafkaSaslMechanism": mechanism})

    assert "sends the password" in remarks("SASL_PLAINTEXT", "PLAIN")[0]
    assert remarks("SASL_SSL", "PLAIN") == remarks("SASL_PLAINTEXT", "SCRAM-SHA-512") == []


@pytest.mark.parametrize(
    "chosen, expected",
    [
        ({}, "No one is notified when an alarm goes off: set AlarmEmail or AlarmTopicArn."),
        ({"AlarmEmail": "ops@example.com"}, "Alarms notify ops@example.com, after the address has confirmed"),
        ({"AlarmTopicArn": "arn:aws:sns:x:1:ops"}, "Alarms notify arn:aws:sns:x:1:ops; its policy"),
        ({"Monitoring": "none", "AlarmEmail": "ops@example.com"}, "No one is notified: Monitoring=none"),
    ],
)
def test_the_receivers_of_notifications_are_printed(chosen, expected):
    values = {"Monitoring": "dashboard", "AlarmEmail": "", "AlarmTopicArn": "", **chosen}
    assert stacks.who_is_notified("orders", values).startswith(expected)
