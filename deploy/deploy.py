"""Deploys the stack of cloudformation.yaml, and removes it. deploy.sh starts this.

Environment variables:

    STACK           the stack's name
    BUCKET          a bucket in the stack's region, for the packages and the template
    BUCKET_OWNER    the bucket's account, where it is not the one of the credentials
    PARAMETERS      a file with lines Name=value for the template's parameters; # begins a comment. What the file
                    leaves out has the template's default, whatever the stack has now
    PACKAGE, LAYER  the function (dist/function.zip), and the layer of a function that needs one
    PLAN=1          shows what would change, and changes nothing
    TAGS            the stack's tags, such as "team=x cost=y"; without it they stay as they are
    ROLE_ARN        a role that CloudFormation works with, now and later, in place of these credentials
    SSE, SSE_KMS_KEY_ID  as `aws s3 cp` takes them, for buckets that demand an encryption
    CONFIRM         the stack's name again, where a removal or a change that loses cursors has to be confirmed

AWS's own variables (AWS_PROFILE, AWS_REGION) select the account and the region. Exit 0: done; 1: AWS refused or failed;
2: something is missing or wrong, and nothing was changed.

It needs Python 3.8 and AWS's command line, and no package. It makes change sets itself, because
`aws cloudformation deploy` silently drops unknown parameters and prints neither the changes nor the failures.
"""

import hashlib
import pathlib
import re
import sys

import stacks
from cloudformation import Account, AwsError, ChangeSet, Stop, aws, by_key, describe, events_of, follow, is_set
from cloudformation import refuse, refuse_state, resources_of, setting
from inputs import NotAPackage, Program, missing_parameters, read_parameters, read_tags, template_parameters

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "cloudformation.yaml"
# The end of AWS's host names, by partition.
SUFFIXES = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")


# --- What is deployed


class Deployment:
    """A deployment as far as it can be checked without AWS. `problems` are its errors."""

    def __init__(self):
        self.problems = []
        self.given = {}
        self.package = pathlib.Path(setting("PACKAGE") or ROOT / "dist/function.zip")
        self.layer = pathlib.Path(setting("LAYER")) if setting("LAYER") else None
        if not setting("BUCKET"):
            self.problems.append("missing: BUCKET: a bucket in the stack's region for packages; aws s3 mb makes one")
        if setting("SSE") not in ("", *ENCRYPTIONS):
            self.problems.append(f"SSE must be one of {', '.join(ENCRYPTIONS)}")
        if setting("SSE_KMS_KEY_ID") and setting("SSE") == "AES256":
            self.problems.append("SSE_KMS_KEY_ID goes with SSE=aws:kms or aws:kms:dsse, not with AES256")
        if setting("ROLE_ARN") and not re.match(r"^arn:aws[a-z-]*:iam::\d{12}:role/", setting("ROLE_ARN")):
            self.problems.append("ROLE_ARN must be the ARN of a role")
        self.tags, wrong = read_tags(setting("TAGS"))
        self.problems += wrong
        self.values = self._read_values()
        self._read_programs()

    def _read_values(self):
        known = template_parameters(TEMPLATE.read_text(encoding="utf-8"))
        try:
            text = pathlib.Path(setting("PARAMETERS")).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            needed = ", ".join(missing_parameters({}, known))
            self.problems.append(f"missing: PARAMETERS: a file (UTF-8) with lines Name=value, at least {needed}")
            return {}
        given, wrong = read_parameters(text, known)
        self.problems += [f"{setting('PARAMETERS')}: {each}" for each in wrong]
        for name in missing_parameters(given, known):
            self.problems.append(f"{setting('PARAMETERS')}: {name} is needed")
        self.given = given
        return {**{name: default or "" for name, default in known.items()}, **given}

    def _read_programs(self):
        """The processor that the package was built for is the function's."""
        function = self._program(self.package, "bootstrap", "make package builds it")
        layer = self.layer and self._program(self.layer, "lib/librdkafka.so.1", "LAYER names it")
        if not function or not self.values:
            return
        if self.given.get("Architecture", function.processor) != function.processor:
            self.problems.append(
                f"{self.package} was built for {function.processor}, and {setting('PARAMETERS')} sets "
                f"Architecture={self.given['Architecture']}: build it for that processor, or remove the line"
            )
        self.values["Architecture"] = function.processor
        if layer and layer.processor != function.processor:
            self.problems.append(f"{self.layer} was built for {layer.processor}, and {self.package} for {function.processor}")
        if self.layer and "LayerKey" in self.given:
            self.problems.append(f"{setting('PARAMETERS')}: LayerKey follows from LAYER, so it has no place in the file")
        if function.needs_layer and not (self.layer or self.values["LayerKey"] or self.values["LayerArn"]):
            self.problems.append(f"{self.package} needs a layer: LAYER=dist/layer.zip, or LayerArn in the file of parameters")

    def _program(self, archive, member, hint):
        if not archive.is_file():
            self.problems.append(f"missing: {archive}: {hint}")
            return None
        try:
            return Program(archive, member)
        except NotAPackage as error:
            self.problems.append(f"{archive}: {error}")
            return None


def check_bucket(account):
    """With a misspelt name, a bucket of another account would contain the code that this account runs."""
    owner = setting("BUCKET_OWNER") or account.number
    bucket = ("--bucket", setting("BUCKET"), "--expected-bucket-owner", owner)
    try:
        found = aws("s3api", "head-bucket", *bucket)
        # Command lines before 2.15 do not report the region. No region means us-east-1.
        region = found.get("BucketRegion") or aws("s3api", "get-bucket-location", *bucket)["LocationConstraint"] or "us-east-1"
    except AwsError as error:
        raise Stop(
            2,
            f"missing: the bucket {setting('BUCKET')}: it does not exist, these credentials may not use it, or it is "
            f"not the account {owner}'s (BUCKET_OWNER names another). AWS: {error.text}",
        ) from None
    if region != account.region:
        raise Stop(
            2,
            f"the bucket {setting('BUCKET')} is in {region}, and the stack in {account.region}: "
            "Lambda takes code from a bucket of its own region",
        )


def key_of(account, name, file):
    """Follows from the content: the stack sees a new package, and an old one can be named again."""
    return f"{account.stack}/{name}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}{file.suffix}"


def upload(file, key):
    encryption = setting("SSE") or ("aws:kms" if setting("SSE_KMS_KEY_ID") else "")
    options = ["--sse", encryption] if encryption else []
    if setting("SSE_KMS_KEY_ID"):
        options += ["--sse-kms-key-id", setting("SSE_KMS_KEY_ID")]
    try:
        aws("s3", "cp", "--only-show-errors", str(file), f"s3://{setting('BUCKET')}/{key}", *options)
    except AwsError as error:
        raise Stop(1, f"{file} could not be uploaded to the bucket {setting('BUCKET')}. AWS: {error.text}") from None


# --- Commands


def confirm(account, question):
    confirmation = setting("CONFIRM")
    if not confirmation and sys.stdin.isatty():
        confirmation = input(question)
    if confirmation != account.stack:
        raise Stop(2, f"nothing was changed (CONFIRM={account.stack} confirms it without a prompt)")


def deploy():
    account, deployment = Account(), Deployment()
    refuse(account.problems + deployment.problems)
    account.log_in()
    check_bucket(account)
    stack = describe(account.stack)
    if stack and not stacks.can_be_deployed(stack["StackStatus"]):
        refuse_state(account, stack)

    values = deployment.values
    values["CodeBucket"] = setting("BUCKET")
    values["CodeKey"] = key_of(account, deployment.package.stem, deployment.package)
    if deployment.layer:
        values["LayerKey"] = key_of(account, deployment.layer.stem, deployment.layer)
    template_key = key_of(account, "template", TEMPLATE)
    upload(TEMPLATE, template_key)
    host = f"s3.{account.region}.{SUFFIXES.get(account.partition, 'amazonaws.com')}"
    change_set = ChangeSet(account, stack, f"https://{host}/{setting('BUCKET')}/{template_key}", values, deployment.tags)
    try:
        changes = change_set.wait()
        before = parameters_of(stack)
        warnings = [] if change_set.is_new else stacks.warnings(before, values, changes)
        show(before, values, changes, warnings)
        go_on = bool(changes) and not is_set("PLAN")
        if go_on:
            if warnings:
                confirm(account, "The stack's name, to go on: ")
            upload(deployment.package, values["CodeKey"])
            if deployment.layer:
                upload(deployment.layer, values["LayerKey"])
    except BaseException:
        change_set.discard()
        raise
    if go_on:
        finish(account, change_set)
    else:
        change_set.discard()
    for remark in stacks.remarks(values):
        print(remark)
    if is_set("PLAN"):
        print("Nothing was changed (PLAN).")
    else:
        show_outputs(account)
    print(stacks.who_is_notified(account.stack, values))


def parameters_of(stack):
    return by_key((stack or {}).get("Parameters"), "ParameterKey", "ParameterValue")


def show(before, values, changes, warnings):
    """Prints the changes before they are made."""
    changed = stacks.changed_parameters(before, values) if before else []
    if changed:
        print(stacks.table(changed, ["parameter", "the stack's", "the file's"]) + "\n")
    if not changes:
        print("Nothing changes: the stack is what the template and the file say.")
        return
    print(stacks.table(stacks.changed_resources(changes), ["change", "resource", "type", "because of"]))
    for each in warnings:
        print(f"WARNING: {each}")
    sys.stdout.flush()


def finish(account, change_set):
    """Executes the change set, and names what has left the stack and stays. Where it fails: what failed, and why."""
    status, events = change_set.execute()
    skipped = [event for event in events if event["ResourceStatus"] == "DELETE_SKIPPED"]
    left = stacks.what_is_left(stacks.leftovers(skipped), account.partition)
    if status not in stacks.SUCCEEDED:
        failed = [f"failed: {each}" for each in stacks.failures(events)]
        raise Stop(1, *failed, stacks.sentence(account.stack, status), *left)
    if left:
        print("\n".join(left))


def show_outputs(account):
    outputs = by_key(describe(account.stack).get("Outputs"), "OutputKey", "OutputValue")
    print(stacks.table(outputs.items(), ["output", "value"]))
    print(
        f"""What a run would read, without reading it:
  aws lambda invoke --function-name {outputs.get("FunctionName")} --cli-binary-format raw-in-base64-out --payload '{{"action":"plan"}}' /dev/stdout
What it does:
  aws logs tail {outputs.get("LogGroupName")} --follow"""
    )


def destroy():
    account = Account()
    refuse(account.problems)
    account.log_in()
    stack = describe(account.stack)
    if stack is None:
        raise Stop(1, f"there is no stack {account.stack} in the account {account.number} and region {account.region}")
    if not stacks.can_be_removed(stack["StackStatus"]):
        refuse_state(account, stack)
    left = stacks.leftovers(resources_of(stack["StackId"]))
    kept = " and ".join(left.values()) or "nothing"
    print(f"The stack {account.stack} is removed: function, schedules, alarms, logs. Kept: {kept}.", flush=True)
    confirm(account, "Its name again, to go on: ")
    known = events_of(stack["StackId"])[:1]
    role = ["--role-arn", setting("ROLE_ARN")] if setting("ROLE_ARN") else []
    aws("cloudformation", "delete-stack", "--stack-name", stack["StackId"], *role)
    status, events = follow(account, stack["StackId"], known[0]["EventId"] if known else None)
    if status != "DELETE_COMPLETE":
        lines = [f"failed: {each}" for each in stacks.failures(events)]
        raise Stop(1, *lines, stacks.sentence(account.stack, status))
    print("\n".join(stacks.what_is_left(left, account.partition)))


def main(arguments):
    commands = {"deploy": deploy, "destroy": destroy}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: deploy.sh deploy|destroy", file=sys.stderr)
        return 2
    try:
        commands[arguments[0]]()
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    except AwsError as error:
        print(f"AWS: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
