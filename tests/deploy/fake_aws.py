"""In the place of AWS's command line: an account with buckets and stacks, in a file, that refuses and fails as AWS does.

`Account` is for tests; as a program this is `aws`. Of CloudFormation it does what deploy/ relies on: it reads the
template from the bucket, refuses parameters that this does not have, makes and executes change sets, writes events, rolls
back, retains what is to be retained, and releases a stack's name, not its id, once it is deleted.
"""

import json
import os
import pathlib
import re
import sys
import urllib.parse

REGION, NUMBER = "eu-central-1", "123456789012"
# Conditions of the template that hold for the parameters that the tests of the script use.
HOLD = {None, "MakesTable", "HasAlarms", "HasDashboard"}
START = {
    "version": "aws-cli/2.31.0 Python/3.13.7 Linux/6.8 exe/x86_64",
    "region": "",
    "partition": "aws",
    "buckets": {"packages": {"region": REGION, "owner": NUMBER}},
    "stacks": {},
    "change_sets": {},
    # Resources whose creation, update or removal fails, by logical name.
    "fails": {},
    # Operations that are refused: code and text.
    "refuses": {},
    # The changes of an update, in place of a change of the function.
    "changes": None,
    # A folder or file of the buckets to which writes are denied.
    "unwritable": None,
    # The number of requests for events that do not show the end of an operation.
    "slow": 0,
    "calls": [],
}


class Account:
    """The account, for a test to arrange and to check."""

    def __init__(self, folder):
        self.folder = folder
        self.write(START)

    def read(self):
        return json.loads((self.folder / "account.json").read_text())

    def write(self, state):
        (self.folder / "account.json").write_text(json.dumps(state))

    def arrange(self, **changes):
        self.write({**self.read(), **changes})

    def calls(self, *arguments):
        return [call for call in self.read()["calls"] if call[: len(arguments)] == list(arguments)]

    def stack(self, name="orders"):
        return next((each for each in self.read()["stacks"].values() if each["name"] == name and not each["deleted"]), None)

    def uploaded(self):
        return sorted(str(each.relative_to(self.folder / "s3")) for each in self.folder.glob("s3/**/*") if each.is_file())


class Refused(Exception):
    pass


def refuse(operation, code, text):
    raise Refused(f"\nAn error occurred ({code}) when calling the {operation} operation: {text}")


def invalid(operation, text):
    refuse(operation, "ValidationError", text)


def load(text):
    """The template. CloudFormation's short forms are read as null: the parts that are used have none."""
    import yaml  # Slow, and most calls need no template.

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        pass

    Loader.add_multi_constructor("!", lambda loader, tag, node: None)
    return yaml.load(text, Loader)


class Aws:
    def __init__(self, state, folder):
        self.state, self.folder = state, folder

    def call(self, service, operation, options):
        arguments = "".join(argument.capitalize() for argument in operation.split("-"))
        if operation in self.state["refuses"]:
            refuse(arguments, *self.state["refuses"][operation])
        return getattr(self, operation.replace("-", "_"))(options)

    def get_caller_identity(self, options):
        return {"Account": NUMBER, "Arn": f"arn:{self.state['partition']}:sts::{NUMBER}:assumed-role/deployer/me", "UserId": "A:me"}

    def head_bucket(self, options):
        bucket = self.state["buckets"].get(options["--bucket"])
        if not bucket:
            refuse("HeadBucket", "404", "Not Found")
        if bucket["owner"] != options["--expected-bucket-owner"]:
            refuse("HeadBucket", "403", "Forbidden")
        return {} if bucket.get("old") else {"BucketRegion": bucket["region"], "AccessPointAlias": False}

    def get_bucket_location(self, options):
        region = self.state["buckets"][options["--bucket"]]["region"]
        return {"LocationConstraint": None if region == "us-east-1" else region}

    def cp(self, source, target, options):
        bucket, key = target.replace("s3://", "").split("/", 1)
        encrypted = self.state["buckets"][bucket].get("demands", options.get("--sse")) == options.get("--sse")
        if not encrypted or self.state["unwritable"] in key.split("/"):
            raise Refused(
                f"upload failed: {source} to {target} An error occurred (AccessDenied) when calling the PutObject operation: Access Denied"
            )
        path = self.folder / "s3" / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pathlib.Path(source).read_bytes())

    # --- Stacks

    def find(self, name):
        """By name while the stack exists, by id also afterwards."""
        for arn, stack in self.state["stacks"].items():
            if arn == name or (stack["name"] == name and not stack["deleted"]):
                return arn, stack
        return None, None

    def describe_stacks(self, options):
        arn, stack = self.find(options["--stack-name"])
        if not stack:
            invalid("DescribeStacks", f"Stack with id {options['--stack-name']} does not exist")
        pairs = [{"ParameterKey": name, "ParameterValue": value} for name, value in stack["parameters"].items()]
        outputs = [
            {"OutputKey": f"{name}Name", "OutputValue": made["PhysicalResourceId"]}
            for name, made in stack["resources"].items()
            if name in ("Function", "LogGroup", "Table")
        ]
        return {
            "Stacks": [
                {"StackId": arn, "StackName": stack["name"], "StackStatus": stack["status"], "Parameters": pairs, "Outputs": outputs}
            ]
        }

    def describe_stack_events(self, options):
        _, stack = self.find(options["--stack-name"])
        if not stack:
            invalid("DescribeStackEvents", f"Stack [{options['--stack-name']}] does not exist")
        hidden = 0
        if self.state["slow"] and not stack["status"].startswith("REVIEW"):
            self.state["slow"] -= 1
            hidden = 2
        return {"StackEvents": stack["events"][: len(stack["events"]) - hidden][::-1]}

    def list_stack_resources(self, options):
        _, stack = self.find(options["--stack-name"])
        return {"StackResourceSummaries": list(stack["resources"].values())}

    def create_change_set(self, options):
        name, kind = options["--stack-name"], options["--change-set-type"]
        template = self.template(options["--template-url"])
        given = {each["ParameterKey"]: each["ParameterValue"] for each in json.loads(options["--parameters"])}
        self.check(template["Parameters"], given)
        arn, stack = self.find(name)
        if kind == "CREATE":
            if stack and stack["status"] != "REVIEW_IN_PROGRESS":
                invalid("CreateChangeSet", f"Stack [{name}] already exists and cannot be created again with the changeSet [x].")
            if not stack:
                arn = f"arn:aws:cloudformation:{REGION}:{NUMBER}:stack/{name}/{len(self.state['stacks'])}"
                stack = {"name": name, "status": "", "parameters": {}, "resources": {}, "events": [], "deleted": False, "tags": []}
                self.state["stacks"][arn] = stack
                self.event(arn, "REVIEW_IN_PROGRESS", "User Initiated")
            made = {logical: each for logical, each in template["Resources"].items() if each.get("Condition") in HOLD}
            changes = [change("Add", logical, each["Type"]) for logical, each in made.items()]
        elif not stack:
            invalid("CreateChangeSet", f"Stack [{name}] does not exist")
        else:
            changes = self.state["changes"]
            if changes is None:
                changes = [] if given == stack["parameters"] else [change("Modify", "Function", "AWS::Lambda::Function", Replacement="False")]
        change_set = f"{arn.replace(':stack/', ':changeSet/')}/{options['--change-set-name']}"
        self.state["change_sets"][change_set] = {
            "stack": arn,
            "changes": changes,
            "parameters": given,
            "tags": json.loads(options.get("--tags", "[]")),
            "resources": template["Resources"],
        }
        return {"Id": change_set, "StackId": arn}

    def template(self, url):
        place = urllib.parse.urlparse(url)
        if not re.fullmatch(rf"s3\.{REGION}\.amazonaws\.com(\.cn)?", place.netloc):
            invalid("CreateChangeSet", "TemplateURL must be a supported URL.")
        path = self.folder / "s3" / place.path.lstrip("/")
        if not path.is_file():
            invalid("CreateChangeSet", "S3 error: The specified key does not exist.")
        return load(path.read_text())

    def check(self, known, given):
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            invalid("CreateChangeSet", f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        missing = [name for name, rules in known.items() if "Default" not in rules and name not in given]
        if missing:
            invalid("CreateChangeSet", f"Parameters: [{', '.join(missing)}] must have values")
        for name, value in given.items():
            if not re.fullmatch(known[name].get("AllowedPattern", ".*"), value):
                invalid("CreateChangeSet", f"Parameter {name} failed to satisfy constraint: {known[name].get('ConstraintDescription')}")

    def describe_change_set(self, options):
        found = self.state["change_sets"][options["--change-set-name"]]
        if not found["changes"]:
            reason = "The submitted information didn't contain changes. Submit different information to create a change set."
            return {"Status": "FAILED", "StatusReason": reason, "Changes": []}
        if self.state.get("validation"):
            return {"Status": "FAILED", "StatusReason": "The following hook(s)/validation failed: [AWS::EarlyValidation::PropertyValidation].", "Changes": []}
        return {"Status": "CREATE_COMPLETE", "Changes": [{"Type": "Resource", "ResourceChange": each} for each in found["changes"]]}

    def describe_events(self, options):
        return {"OperationEvents": [{"EventType": "STACK_EVENT"}, *self.state["validation"]]}

    def delete_change_set(self, options):
        del self.state["change_sets"][options["--change-set-name"]]

    def execute_change_set(self, options):
        found = self.state["change_sets"].pop(options["--change-set-name"])
        arn, fails = found["stack"], dict(self.state["fails"])
        stack = self.state["stacks"][arn]
        code = self.folder / "s3" / found["parameters"]["CodeBucket"] / found["parameters"]["CodeKey"]
        if not code.is_file():
            fails["Function"] = "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
        new = stack["status"] == "REVIEW_IN_PROGRESS"
        verb = "CREATE" if new else "UPDATE"
        self.event(arn, f"{verb}_IN_PROGRESS", "User Initiated")
        before = dict(stack["resources"])
        for each in found["changes"]:
            logical = each["LogicalResourceId"]
            if each["Action"] == "Remove":
                continue
            stack["resources"].setdefault(logical, resource(stack["name"], logical, each["ResourceType"]))
            failed = logical in fails
            self.event(arn, f"{verb}_{'FAILED' if failed else 'COMPLETE'}", fails.get(logical), logical)
        if not fails:
            stack["parameters"], stack["tags"] = found["parameters"], found["tags"] or stack["tags"]
            for each in [each for each in found["changes"] if each["Action"] == "Remove"]:
                self.event(arn, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
                self.remove(arn, each["LogicalResourceId"], found["resources"][each["LogicalResourceId"]])
                del stack["resources"][each["LogicalResourceId"]]
            return self.event(arn, f"{verb}_COMPLETE")
        self.event(arn, f"{verb}_FAILED", "Resource creation cancelled", "ScheduleGroup")
        prefix = "" if new else "UPDATE_"
        self.event(arn, f"{prefix}ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to {verb.lower()}: [{', '.join(fails)}].")
        for logical in stack["resources"].keys() - before.keys():
            self.remove(arn, logical, found["resources"][logical])
        self.event(arn, f"{prefix}ROLLBACK_COMPLETE")

    def delete_stack(self, options):
        arn, stack = self.find(options["--stack-name"])
        template = load((pathlib.Path(__file__).parents[2] / "cloudformation.yaml").read_text())
        self.event(arn, "DELETE_IN_PROGRESS", "User Initiated")
        for logical in stack["resources"]:
            if logical in self.state["fails"]:
                self.event(arn, "DELETE_FAILED", self.state["fails"][logical], logical)
            else:
                self.remove(arn, logical, template["Resources"][logical])
        if self.state["fails"]:
            failed = ", ".join(self.state["fails"])
            return self.event(arn, "DELETE_FAILED", f"The following resource(s) failed to delete: [{failed}].")
        self.event(arn, "DELETE_COMPLETE")
        stack["deleted"] = True

    def remove(self, arn, logical, template):
        if self.state["stacks"][arn]["resources"][logical]["ResourceStatus"] != "DELETE_COMPLETE":
            self.event(arn, "DELETE_SKIPPED" if template.get("DeletionPolicy") == "Retain" else "DELETE_COMPLETE", None, logical)

    def event(self, arn, status, reason=None, logical=None):
        stack = self.state["stacks"][arn]
        made = stack["resources"].get(logical)
        if made:
            made["ResourceStatus"] = status
        if not logical:
            stack["status"] = status
        stack["events"].append(
            {
                "StackId": arn,
                "EventId": f"event-{len(stack['events'])}",
                "LogicalResourceId": logical or stack["name"],
                "PhysicalResourceId": made["PhysicalResourceId"] if made else "" if logical else arn,
                "ResourceType": made["ResourceType"] if made else "AWS::CloudFormation::Stack",
                "ResourceStatus": status,
                **({"ResourceStatusReason": reason} if reason else {}),
            }
        )


def change(action, logical, kind, **others):
    return {"Action": action, "LogicalResourceId": logical, "ResourceType": kind, "Details": [], **others}


def resource(stack, logical, kind):
    physical = f"{stack}-{logical}-1A2B"
    if kind == "AWS::SQS::Queue":
        physical = f"https://sqs.{REGION}.amazonaws.com/{NUMBER}/{physical}"
    return {"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceType": kind, "ResourceStatus": ""}


def options_of(arguments):
    """(positional arguments, options by name). An option without a value has True."""
    positional, options, arguments = [], {}, list(arguments)
    while arguments:
        argument = arguments.pop(0)
        if not argument.startswith("--"):
            positional.append(argument)
        else:
            options[argument] = arguments.pop(0) if arguments and not arguments[0].startswith("--") and argument != "--only-show-errors" else True
    return positional, options


def main(arguments):
    account = Account.__new__(Account)
    account.folder = pathlib.Path(os.environ["FAKE_AWS"])
    state = account.read()
    state["calls"].append(arguments)
    try:
        if arguments == ["--version"]:
            print(state["version"])
        elif arguments[:2] == ["configure", "get"]:
            print(state["region"])
        else:
            (service, operation, *others), options = options_of(arguments)
            aws = Aws(state, account.folder)
            made = aws.cp(*others, options) if operation == "cp" else aws.call(service, operation, options)
            print(json.dumps(made) if made else "", end="")
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 254
    finally:
        account.write(state)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
