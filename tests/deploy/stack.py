"""The template as CloudFormation would resolve it, for a given set of parameters.

Values that AWS assigns are placeholders that show their kind: `arn:made-up:Table` for an ARN, `made-up:Table` for
everything else. So a test can detect a name in place of an ARN.
"""

import functools
import json
import pathlib
import re
import sys

from cfnlint.decode import cfn_yaml

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = ROOT / "cloudformation.yaml"

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws-test",
    "AWS::Region": "xx-test-1",
    "AWS::StackName": "orders",
    "AWS::URLSuffix": "example.com",
}
NO_VALUE = object()


@functools.cache
def template():
    """Read-only: all tests share it."""
    return cfn_yaml.load(str(TEMPLATE))


class RefusedByRule(Exception):
    """A rule of the template refuses the parameters, before anything is made."""


class Stack:
    """The resources, outputs and conditions of one stack, resolved."""

    def __init__(self, **parameters):
        self.template = template()
        self.parameters = {name: self._given(name, parameters) for name in self.template["Parameters"]}
        unknown = parameters.keys() - self.parameters.keys()
        assert not unknown, f"no such parameters: {unknown}"
        self._check_rules()
        self.resources = {
            name: {
                "Type": resource["Type"],
                "Properties": self.resolve(resource.get("Properties", {})),
                "DeletionPolicy": resource.get("DeletionPolicy"),
                "UpdateReplacePolicy": resource.get("UpdateReplacePolicy"),
            }
            for name, resource in self.template["Resources"].items()
            if self._is_made(resource)
        }
        self.outputs = {
            name: self.resolve(output["Value"])
            for name, output in self.template["Outputs"].items()
            if self._is_made(output)
        }

    def of_type(self, kind):
        """Properties by logical name."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == kind}

    def properties(self, name):
        return self.resources[name]["Properties"]

    def _given(self, name, given):
        rules = self.template["Parameters"][name]
        assert name in given or "Default" in rules, f"{name} is needed"
        value = str(given.get(name, rules.get("Default")))
        allowed = [str(each) for each in rules.get("AllowedValues", [value])]
        assert value in allowed, f"{name} must be one of {allowed}"
        assert re.fullmatch(rules.get("AllowedPattern", ".*"), value), f"{name} {value!r} does not match"
        return value

    def _check_rules(self):
        for name, rule in self.template.get("Rules", {}).items():
            if "RuleCondition" in rule and not self.resolve(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self.resolve(assertion["Assert"]):
                    raise RefusedByRule(f"{name}: {assertion['AssertDescription']}")

    def _is_made(self, part):
        return "Condition" not in part or self._holds(part["Condition"])

    def _holds(self, condition):
        return self.resolve(self.template["Conditions"][condition])

    def resolve(self, node):
        if isinstance(node, list):
            items = (self.resolve(each) for each in node)
            return [each for each in items if each is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            if function in ("Ref", "Condition") or function.startswith("Fn::"):
                # A policy's own `Condition` is an object, and no function.
                if not (function == "Condition" and isinstance(argument, dict)):
                    return getattr(self, "_" + function.removeprefix("Fn::").lower())(argument)
        items = ((name, self.resolve(value)) for name, value in node.items())
        return {name: value for name, value in items if value is not NO_VALUE}

    def _condition(self, name):
        return self._holds(name)

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        return self._attribute(name, "Arn" if self._kind(name) in REFERS_TO_ARN else "Ref")

    def _getatt(self, argument):
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._attribute(name, attribute)

    def _kind(self, name):
        return self.template["Resources"][name]["Type"]

    def _attribute(self, name, attribute):
        assert self._is_made(self.template["Resources"][name]), f"{name} is referred to and not made"
        return f"arn:made-up:{name}" if attribute == "Arn" else f"made-up:{name}"

    def _sub(self, argument):
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def value(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in names:
                return str(self.resolve(names[name]))
            return str(self._getatt(name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", value, text)

    def _if(self, argument):
        condition, yes, no = argument
        return self.resolve(yes if self._holds(condition) else no)

    def _findinmap(self, argument):
        name, first, second = (self.resolve(each) for each in argument)
        return self.template["Mappings"][name][first][second]

    def _join(self, argument):
        between, parts = argument
        assert isinstance(between, str), "Fn::Join takes a plain text between the parts"
        return between.join(self.resolve(parts))

    def _split(self, argument):
        between, text = argument
        return self.resolve(text).split(between)

    def _select(self, argument):
        index, parts = argument
        return self.resolve(parts)[int(index)]

    def _equals(self, argument):
        first, second = (str(self.resolve(each)) for each in argument)
        return first == second

    def _contains(self, argument):
        values, value = argument
        return str(self.resolve(value)) in [str(each) for each in values]

    def _not(self, argument):
        return not self.resolve(argument[0])

    def _and(self, argument):
        return all([self.resolve(each) for each in argument])

    def _or(self, argument):
        return any([self.resolve(each) for each in argument])


# Of most resources `Ref` is a name; of these it is the ARN.
REFERS_TO_ARN = {"AWS::Lambda::LayerVersion", "AWS::SNS::Topic"}

REQUIRED = {
    "CodeBucket": "packages",
    "CodeKey": "function-1.zip",
    "KafkaBootstrapServers": "broker-1.example.com:9092,broker-2.example.com:9092",
    "KafkaTopic": "orders",
    "KafkaGroupId": "billing",
    "KafkaSecurityProtocol": "PLAINTEXT",
}
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_billing-a1b2c3"
CA_SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:kafka/ca-d4e5f6"
HEADERS_SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders/webhook-a7b8c9"
SECRET_KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/66666666-7777-8888-9999-000000000000"
DEAD_LETTER_KEY = "arn:aws:kms:eu-central-1:123456789012:key/22222222-3333-4444-5555-666666666666"
CLUSTER = "arn:aws:kafka:eu-central-1:123456789012:cluster/shop/0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d-s1"
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:orders-dead"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:handle-orders"
ALIAS = f"{FUNCTION}:live"
DESTINATION_TABLE = "arn:aws:dynamodb:eu-central-1:123456789012:table/customers"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:orders"
BUS = "arn:aws:events:eu-central-1:123456789012:event-bus/orders"
ROUTES = f'{{"orders":{{"to":"{ALIAS}","batch_size":10}},"refunds-*": "{FUNCTION}","*":"discard"}}'
SERVICES = f'{{"orders":"{ALIAS}","refunds":{{"to":"{QUEUE}","envelope":"record"}},"returns":"{TOPIC}","customers":"{DESTINATION_TABLE}","*":"{BUS}"}}'
HANDLER_POLICIES = ["arn:aws:iam::123456789012:policy/customers", "arn:aws:iam::aws:policy/AmazonSNSFullAccess"]
EXTENSIONS = [
    "arn:aws:lambda:eu-central-1:901920570463:layer:aws-otel-collector-amd64-ver-0-117-0:1",
    "arn:aws:lambda:eu-central-1:580247275435:layer:LambdaInsightsExtension:53",
]
VPC = {
    "SubnetIds": "subnet-0a1b2c3d,subnet-4e5f6a7b",
    "SecurityGroupIds": "sg-0a1b2c3d,sg-4e5f6a7b",
    "VpcId": "vpc-0a1b2c3d",
    "RouteTableIds": "rtb-0a1b2c3d,rtb-4e5f6a7b",
    "InterfaceEndpoints": "true",
}
SCRAM = {
    "KafkaSecurityProtocol": "SASL_SSL",
    "KafkaSaslMechanism": "SCRAM-SHA-512",
    "KafkaSecretArn": SECRET,
    "KafkaCaSecretArn": CA_SECRET,
    "SecretKeyArns": SECRET_KEY,
}
IAM = {"KafkaSecurityProtocol": "SASL_SSL", "KafkaSaslMechanism": "AWS_MSK_IAM", "MskClusterArn": CLUSTER}

# Typical stacks: each condition is true in one and false in another.
STACKS = {
    "the least": {},
    "SCRAM in a VPC": {**SCRAM, **VPC, "OnFailure": "queue", "AlarmEmail": "ops@example.com"},
    "MSK IAM in a VPC with a NAT": {
        **IAM,
        "SubnetIds": VPC["SubnetIds"],
        "SecurityGroupIds": VPC["SecurityGroupIds"],
        "OnFailure": "kafka://orders-dead",
        "KafkaTopic": "orders,refunds",
    },
    "MSK IAM, no dead letters": {**IAM, "KafkaTopic": "a,b,c,d,e"},
    "a destination function": {"Destination": ALIAS, "BatchSize": "500", "ParallelizationFactor": 4},
    "an HTTP endpoint": {"Destination": "https://example.com/orders", "HttpHeadersSecretArn": HEADERS_SECRET, "SecretKeyArns": SECRET_KEY},
    "destination functions by topic, in a VPC": {**VPC, "KafkaTopic": "orders,refunds-eu", "Destination": ROUTES, "MessageFormat": "text"},
    "services of every kind by topic, in a VPC": {**VPC, "Destination": SERVICES},
    "a destination table": {"Destination": DESTINATION_TABLE},
    "mutual TLS": {"KafkaSecurityProtocol": "SSL", "KafkaSecretArn": SECRET, "OnFailure": "skip"},
    "a private CA alone": {"KafkaSecurityProtocol": "SSL", "KafkaCaSecretArn": CA_SECRET, **VPC},
    "a key of one's own": {
        "EncryptionKeyArn": KEY,
        "OnFailure": "queue",
        "FailedInvocations": "queue",
        "AlarmEmail": "ops@example.com",
        "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    },
    "a handler of one's own": {
        "HandlerSettings": '{"table": "customers"}',
        "HandlerPolicyArns": ",".join(HANDLER_POLICIES),
        "ExtensionLayerArns": ",".join(EXTENSIONS),
        "Tracing": "Active",
        "FipsEndpoints": "true",
    },
    "endpoints in subnets of their own": {**SCRAM, **VPC, "EndpointSubnetIds": "subnet-0a1b2c3d", "DualStack": "true"},
    "a key and no queues": {"EncryptionKeyArn": KEY},
    "four shards": {"Shards": 4, "RateMinutes": 5, "ReservedConcurrency": 8, "FailedInvocations": "queue"},
    "two shards": {"Shards": 2, "MaxMessages": "unlimited", "MaxMemoryBytes": "268435456", "FilterPatterns": '[{"key":["a"]}]'},
    "three shards, stopped": {"Shards": 3, "ScheduleState": "DISABLED", "Monitoring": "alarms"},
    "a table from before": {"ExistingTable": "offsets", "Monitoring": "none", "AlarmEmail": "ops@example.com"},
    "a layer": {"LayerKey": "layer-1.zip", "Architecture": "arm64", "CodeVersion": "abc", "OnFailure": QUEUE, "DeadLetterKeyArn": DEAD_LETTER_KEY},
    "a shared layer": {
        "LayerArn": "arn:aws:lambda:eu-central-1:123456789012:layer:librdkafka:7",
        "CodeSigningConfigArn": "arn:aws:lambda:eu-central-1:123456789012:code-signing-config:csc-0123456789abcdef0",
        "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:ops",
        "RateMinutes": 30,
    },
}


def stack(name="the least", **changes):
    return Stack(**{**REQUIRED, **STACKS[name], **changes})


def write_resolved(folder):
    """Each stack as a template without functions, for tools that do not evaluate conditions."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(STACKS):
        made = stack(name)
        resources = {
            logical: {
                "Type": resource["Type"],
                "Metadata": made.template["Resources"][logical].get("Metadata", {}),
                "Properties": resource["Properties"],
            }
            for logical, resource in made.resources.items()
        }
        document = {"AWSTemplateFormatVersion": "2010-09-09", "Description": name, "Resources": resources}
        (folder / f"stack-{number}.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    write_resolved(pathlib.Path(sys.argv[1]))
