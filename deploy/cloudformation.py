"""Requests to AWS through its command line: the account and region, the state of a stack, and its change sets."""

import json
import os
import re
import subprocess
import sys
import time
import uuid

import stacks

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class Stop(Exception):
    """Ends the program with an exit code and lines for people."""

    def __init__(self, code, *lines):
        super().__init__("\n".join(lines))
        self.code = code


class AwsError(Exception):
    """The error output of the command line; `code` and `text` are those of AWS's response, if there was one."""

    def __init__(self, written):
        super().__init__(written)
        found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation[^:]*: (.*)", written, re.DOTALL)
        self.code, self.text = found.groups() if found else ("", written)


def aws(*arguments):
    """The result of one call."""
    done = subprocess.run(
        ["aws", *arguments, "--output", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env={**os.environ, "AWS_PAGER": ""},
    )
    if done.returncode:
        raise AwsError(done.stderr.strip())
    return json.loads(done.stdout) if done.stdout.strip() else {}


def setting(name):
    return os.environ.get(name, "").strip()


def is_set(name):
    return setting(name) not in ("", "0", "no", "false")


def refuse(problems):
    if problems:
        raise Stop(2, *problems)


class Account:
    """The account, the region and the stack."""

    def __init__(self):
        problems = []
        if not re.match(r"^[A-Za-z][-A-Za-z0-9]{0,127}$", setting("STACK")):
            problems.append("missing: STACK: the stack's name, of letters, digits and hyphens, such as STACK=orders")
        self.stack = setting("STACK")
        self.region = setting("AWS_REGION") or setting("AWS_DEFAULT_REGION")
        if not has_command_line():
            problems.append("missing: AWS's command line, aws, version 2")
        elif not self.region:
            self.region = configured_region()
            if not self.region:
                problems.append("missing: a region: set AWS_REGION, or one for the profile")
        self.problems = problems

    def log_in(self):
        try:
            caller = aws("sts", "get-caller-identity")
        except AwsError as error:
            raise Stop(2, f"missing: credentials that AWS takes: {error.text}") from None
        self.number, self.partition = caller["Account"], caller["Arn"].split(":")[1]


def has_command_line():
    try:
        output = subprocess.run(["aws", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    except OSError:
        return False
    return output.stdout.startswith("aws-cli/2.")


def configured_region():
    output = subprocess.run(["aws", "configure", "get", "region"], stdout=subprocess.PIPE, universal_newlines=True)
    return output.stdout.strip()


# --- The stack


def describe(stack):
    """The stack, or None where there is none. Other refusals are errors."""
    try:
        return aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"][0]
    except AwsError as error:
        if "does not exist" in error.text:
            return None
        raise


def events_of(stack_id):
    """The latest ones, newest first."""
    return aws("cloudformation", "describe-stack-events", "--stack-name", stack_id, "--max-items", "200")["StackEvents"]


def resources_of(stack_id):
    return aws("cloudformation", "list-stack-resources", "--stack-name", stack_id)["StackResourceSummaries"]


def refuse_state(account, stack):
    """Prints why the stack cannot be changed now, what has failed, and which resources remain."""
    lines = [stacks.sentence(account.stack, stack["StackStatus"])]
    lines += [f"failed: {each}" for each in stacks.failures(stacks.last_operation(events_of(stack["StackId"])))]
    if stack["StackStatus"].startswith("ROLLBACK_"):
        lines += stacks.what_is_left(stacks.leftovers(resources_of(stack["StackId"])), account.partition)
    raise Stop(1, *lines)


def pauses():
    """Seconds between two requests: short at first, and long enough to avoid throttling."""
    yield from (1, 1, 2, 3)
    while True:
        yield 5


def follow(account, stack_id, known):
    """Shows what happens to the stack until it has come to an end. Returns its last state and the events."""
    seen = []
    try:
        for pause in pauses():
            fresh = stacks.new_events(events_of(stack_id), seen[-1]["EventId"] if seen else known)
            for event in fresh:
                if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                    print(f"  {event['ResourceStatus'].lower():16} {event['LogicalResourceId']}", flush=True)
            seen += fresh
            status = stacks.outcome(seen)
            if status:
                return status, seen
            time.sleep(pause)
    except (AwsError, KeyboardInterrupt) as error:
        raise Stop(
            1,
            f"not watched to its end ({str(error) or 'interrupted'}); CloudFormation goes on: "
            f"aws cloudformation describe-stack-events --stack-name {account.stack}",
        ) from None


class ChangeSet:
    """A change set of the stack, which is discarded unless it is executed."""

    def __init__(self, account, stack, url, values, tags):
        self.account, self.is_new = account, stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS"
        self.leaves_stack = stack is not None
        options = [
            *("--stack-name", account.stack, "--template-url", url, "--capabilities", "CAPABILITY_IAM"),
            *("--change-set-name", f"deploy-{uuid.uuid4()}", "--change-set-type", "CREATE" if self.is_new else "UPDATE"),
            *("--parameters", as_parameters(values)),
        ]
        if tags:
            options += ["--tags", json.dumps(tags)]
        if setting("ROLE_ARN"):
            options += ["--role-arn", setting("ROLE_ARN")]
        made = aws("cloudformation", "create-change-set", *options)
        self.arn, self.stack_id = made["Id"], made["StackId"]

    def wait(self):
        """The changes of resources; empty where nothing would change."""
        for pause in pauses():
            found = aws("cloudformation", "describe-change-set", "--change-set-name", self.arn)
            if found["Status"] == "CREATE_COMPLETE":
                return [change["ResourceChange"] for change in found["Changes"] if "ResourceChange" in change]
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                if any(each in reason for each in NO_CHANGES):
                    return []
                raise Stop(1, f"CloudFormation refuses the change: {reason}", *self._validation())
            time.sleep(pause)

    def _validation(self):
        """What AWS's own validation has found, where the command line is new enough."""
        try:
            found = aws("cloudformation", "describe-events", "--change-set-name", self.arn, "--filters", "FailedEvents=true")
        except AwsError:
            return []
        return [
            f"failed: {event.get('LogicalResourceId', '')} {event.get('ValidationPath', '')}: {event['ValidationStatusReason']}"
            for event in found.get("OperationEvents", [])
            if event.get("ValidationStatusReason")
        ]

    def execute(self):
        known = events_of(self.stack_id)[:1]
        try:
            aws("cloudformation", "execute-change-set", "--change-set-name", self.arn)
        except AwsError:
            self.discard()
            raise
        return follow(self.account, self.stack_id, known[0]["EventId"] if known else None)

    def discard(self):
        """A new stack that only the change set has made goes with it."""
        try:
            if self.is_new and not self.leaves_stack:
                aws("cloudformation", "delete-stack", "--stack-name", self.stack_id)
            else:
                aws("cloudformation", "delete-change-set", "--change-set-name", self.arn)
        except AwsError as error:
            print(f"the change set {self.arn} is left: {error.text}", file=sys.stderr)


def as_parameters(values):
    return json.dumps([{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()])


def by_key(pairs, key, value):
    return {each[key]: each[value] for each in pairs or []}
