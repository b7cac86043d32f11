"""Messages about a stack: its state, the changes of a change set, the resources that failed, and the resources that
stay in the account. Pure: deploy.py sends the requests and prints."""

import re

WAIT = "wait until that has ended: aws cloudformation describe-stacks --stack-name {stack} --query 'Stacks[0].StackStatus'"
REMOVE = "next: make destroy STACK={stack}"
# State: whether it can be deployed to, whether it can be removed, what it means and what to do.
STATES = {
    "REVIEW_IN_PROGRESS": (True, True, "has change sets and nothing else yet"),
    "CREATE_IN_PROGRESS": (False, False, f"is being created; {WAIT}"),
    "CREATE_FAILED": (False, True, f"could not be created, and was not rolled back; {REMOVE}"),
    "CREATE_COMPLETE": (True, True, "was created"),
    "ROLLBACK_IN_PROGRESS": (False, False, f"could not be created and is being rolled back; {WAIT}"),
    "ROLLBACK_FAILED": (False, True, f"could not be created, nor rolled back; {REMOVE}"),
    "ROLLBACK_COMPLETE": (False, True, f"could not be created, and only what is retained is left of it; {REMOVE}"),
    "DELETE_IN_PROGRESS": (False, False, f"is being removed; {WAIT}"),
    "DELETE_FAILED": (False, True, f"could not be removed; remove the cause, {REMOVE}"),
    "DELETE_COMPLETE": (True, False, "was removed"),
    "UPDATE_IN_PROGRESS": (False, False, f"is being updated; {WAIT}"),
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": (False, False, f"was updated and removes what was replaced; {WAIT}"),
    "UPDATE_COMPLETE": (True, True, "was updated"),
    "UPDATE_FAILED": (
        False,
        True,
        "stopped within an update, without a rollback; next: aws cloudformation rollback-stack --stack-name {stack}",
    ),
    "UPDATE_ROLLBACK_IN_PROGRESS": (False, False, f"could not be updated and is being rolled back; {WAIT}"),
    "UPDATE_ROLLBACK_FAILED": (
        False,
        True,
        "could not be updated, nor rolled back; remove the cause, "
        "next: aws cloudformation continue-update-rollback --stack-name {stack}",
    ),
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": (
        False,
        False,
        f"was rolled back after a failed update and removes what that had made; {WAIT}",
    ),
    "UPDATE_ROLLBACK_COMPLETE": (True, True, "was rolled back after a failed update, and is as it was before"),
    "IMPORT_IN_PROGRESS": (False, False, f"is importing resources; {WAIT}"),
    "IMPORT_COMPLETE": (True, True, "has imported resources"),
    "IMPORT_ROLLBACK_IN_PROGRESS": (False, False, f"could not import resources and is being rolled back; {WAIT}"),
    "IMPORT_ROLLBACK_FAILED": (
        False,
        True,
        "could not import resources, nor roll that back; its events say why: "
        "aws cloudformation describe-stack-events --stack-name {stack}",
    ),
    "IMPORT_ROLLBACK_COMPLETE": (True, True, "was rolled back after a failed import, and is as it was before"),
}
SUCCEEDED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}

TABLE, QUEUE = "AWS::DynamoDB::Table", "AWS::SQS::Queue"
# What the template retains, by its names there.
RETAINED = ("Table", "DeadLetterQueue")


def sentence(stack, status):
    unknown = f"is in the state {status}, which this program does not know; " + WAIT
    return f"the stack {stack} " + STATES.get(status, (False, False, unknown))[2].format(stack=stack) + f" ({status})"


def can_be_deployed(status):
    return STATES.get(status, (False, False, ""))[0]


def can_be_removed(status):
    return STATES.get(status, (False, False, ""))[1]


def table(rows, titles):
    """Columns of equal width, for people."""
    rows = [titles] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def changed_parameters(before, after):
    """(name, value of the stack, value of the file) of each that differs. `-`: the stack's template did not have it."""
    return [(name, before.get(name, "-"), value) for name, value in after.items() if before.get(name) != value]


def replaced(change):
    return {"True": "replace", "Conditional": "may be replaced"}.get(change.get("Replacement"))


def changed_resources(changes):
    """(what happens, logical name, type, why) of each resource of a change set."""
    return [
        (
            replaced(change) or ("leave" if change.get("PolicyAction") == "Retain" else change["Action"].lower()),
            change["LogicalResourceId"],
            change["ResourceType"],
            ", ".join(reasons(change)),
        )
        for change in changes
    ]


def reasons(change):
    """The properties that change, without repetition."""
    targets = [detail.get("Target", {}) for detail in change.get("Details", [])]
    return list(dict.fromkeys(target.get("Name") or target.get("Attribute", "") for target in targets))


def warnings(before, after, changes):
    """What a change of an existing stack would do to cursors and dead letters."""
    found = []
    for change in changes:
        kind, name, physical = change["ResourceType"], change["LogicalResourceId"], change.get("PhysicalResourceId", "")
        leaves = change["Action"] == "Remove"
        if kind == TABLE and leaves and physical != after["ExistingTable"]:
            found.append(
                f"the stack's table of cursors, {physical}, stays in the account and is used no more: "
                f"cursors are read from ExistingTable={after['ExistingTable']}"
            )
        elif kind == TABLE and (change["Action"] == "Add" or replaced(change)):
            found.append(
                "a new, empty table of cursors: every topic is read again from StartPosition. "
                f"ExistingTable={before.get('ExistingTable') or physical} keeps the cursors that there are"
            )
        elif kind == QUEUE and name in RETAINED and (leaves or replaced(change)):
            found.append(f"the queue of dead letters {physical} stays in the account with all that is in it, and gets no more")
        elif kind == QUEUE and (leaves or replaced(change)):
            found.append(f"the queue {physical} is deleted with all that is in it")
    if before.get("ExistingTable") and after["ExistingTable"] and before["ExistingTable"] != after["ExistingTable"]:
        found.append(f"cursors are read from the table {after['ExistingTable']} in place of {before['ExistingTable']}")
    if before.get("KafkaGroupId", after["KafkaGroupId"]) != after["KafkaGroupId"]:
        found.append("another KafkaGroupId has other cursors: where there are none, topics are read from StartPosition")
    return found


def remarks(values):
    """Allowed values that are rarely intended. Unlike a warning, a remark needs no confirmation."""
    if values["KafkaSecurityProtocol"] == "SASL_PLAINTEXT" and values["KafkaSaslMechanism"] == "PLAIN":
        return ["NOTE: SASL_PLAINTEXT with PLAIN sends the password over the network in the clear; SASL_SSL does not"]
    return []


def new_events(events, known):
    """The events, oldest first, that are later than the one with the id `known`. AWS lists the newest first."""
    ids = [event["EventId"] for event in events]
    return events[: ids.index(known)][::-1] if known in ids else events[::-1]


def last_operation(events):
    """The events, oldest first, of what was last done to the stack. AWS lists the newest first."""
    for number, event in enumerate(events):
        if is_of_stack(event) and event.get("ResourceStatusReason") == "User Initiated":
            return events[: number + 1][::-1]
    return events[::-1]


def is_of_stack(event):
    return event.get("PhysicalResourceId") == event["StackId"]


def outcome(events):
    """The state that the stack has come to at the end of these events, or None while it is still changing."""
    states = [event["ResourceStatus"] for event in events if is_of_stack(event)]
    return states[-1] if states and not states[-1].endswith("_IN_PROGRESS") else None


def failures(events):
    """What failed, and why, oldest first: without what was only cancelled because of another failure."""
    found = []
    for event in events:
        hook = event.get("HookStatus") in ("HOOK_COMPLETE_FAILED", "HOOK_FAILED")
        reason = event.get("HookStatusReason") if hook else event.get("ResourceStatusReason")
        if not reason or is_of_stack(event) or not (hook or event["ResourceStatus"].endswith("_FAILED")):
            continue
        if re.match(r"Resource (creation|update) cancelled", reason, re.IGNORECASE):
            continue
        source = f"{event['LogicalResourceId']} ({event['ResourceType']})"
        found.append(f"{source}: {reason}" + (f" [hook {event.get('HookType')}]" if hook else ""))
    return list(dict.fromkeys(found))


def leftovers(resources):
    """The physical names, by logical name, of what outlives the stack."""
    return {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for each in resources
        if each["LogicalResourceId"] in RETAINED
        and each.get("PhysicalResourceId")
        and each["ResourceStatus"] != "DELETE_COMPLETE"
    }


def what_is_left(left, partition):
    """How the next stack goes on with what is left, and how it is removed."""
    lines = []
    if "Table" in left:
        name = left["Table"]
        lines += [
            f"Left in the account: the table of cursors {name}. A stack with ExistingTable={name} goes on from them. To remove it:",
            f"  aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled",
            f"  aws dynamodb delete-table --table-name {name}",
        ]
    if "DeadLetterQueue" in left:
        url = left["DeadLetterQueue"]
        # https://sqs.REGION.amazonaws.com/ACCOUNT/NAME
        region, account, name = url.split(".")[1], *url.rsplit("/", 2)[1:]
        arn = f"arn:{partition}:sqs:{region}:{account}:{name}"
        lines += [
            f"Left in the account: the queue of dead letters. A stack with OnFailure={arn} writes to it. To remove it:",
            f"  aws sqs delete-queue --queue-url {url}",
        ]
    return lines


def who_is_notified(stack, values):
    if values["Monitoring"] == "none":
        return "No one is notified: Monitoring=none makes no alarms."
    trial = (
        "\nTo try it out: aws cloudwatch set-alarm-state "
        f"--alarm-name {stack}-errors --state-value ALARM --state-reason trial"
    )
    if values["AlarmTopicArn"]:
        return f"Alarms notify {values['AlarmTopicArn']}; its policy and its key's must let CloudWatch publish.{trial}"
    if values["AlarmEmail"]:
        return f"Alarms notify {values['AlarmEmail']}, after the address has confirmed the e-mail that AWS sends once.{trial}"
    return "No one is notified when an alarm goes off: set AlarmEmail or AlarmTopicArn."
