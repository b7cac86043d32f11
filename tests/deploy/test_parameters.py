"""The parameters of the template."""

import json
import re

import pytest

from stack import ALIAS, BUS, CA_SECRET, DESTINATION_TABLE, EXTENSIONS, FUNCTION, HANDLER_POLICIES, IAM, KEY, PSEUDO, QUEUE, ROOT, ROUTES, RefusedByRule, SCRAM, SECRET, SERVICES, STACKS, TEMPLATE, TOPIC, VPC, stack, template
from test_references import leaves

PARAMETERS = template()["Parameters"]
TEXT = TEMPLATE.read_text()


def test_every_parameter_is_in_one_group():
    groups = template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert grouped == list(PARAMETERS), "and in the order of the groups"


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_has_a_description_and_a_constraint(name):
    rules = PARAMETERS[name]
    assert rules["Description"]
    if rules["Type"] == "Number":
        assert "AllowedValues" in rules or "MinValue" in rules
    elif name not in ("CodeVersion", "LayerKey"):
        assert "AllowedValues" in rules or rules["AllowedPattern"].startswith("^")
    if "AllowedPattern" in rules and rules.get("Default") != "" and name != "CodeKey":
        assert rules["ConstraintDescription"].startswith("must ")


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_default_is_allowed(name):
    rules = PARAMETERS[name]
    if "Default" in rules:
        assert re.fullmatch(rules.get("AllowedPattern", ".*"), str(rules["Default"]))


def test_only_parameters_without_a_sensible_value_have_no_default():
    needed = {name for name, rules in PARAMETERS.items() if "Default" not in rules}
    assert needed == {
        "CodeBucket",
        "CodeKey",
        "KafkaBootstrapServers",
        "KafkaTopic",
        "KafkaGroupId",
        "KafkaSecurityProtocol",
    }


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("KafkaBootstrapServers", ",broker:9092"),
        ("KafkaBootstrapServers", "broker:9092,"),
        ("KafkaBootstrapServers", "broker:9092broker:9092"),
        ("KafkaBootstrapServers", "broker:9092, broker:9093"),
        ("KafkaTopic", "a,,b"),
        ("KafkaTopic", "a,b,c,d,e,f"),
        ("KafkaGroupId", "o'clock"),
        ("KafkaSecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:AmazonMSK_billing"),
        ("SecretKeyArns", "arn:aws:kms:eu-central-1:123456789012:alias/msk"),
        ("MskClusterArn", "arn:aws:kafka:eu-central-1:123456789012:topic/shop/0a1b2c3d/orders"),
        ("HandlerPolicyArns", "arn:aws:iam::123456789012:role/x"),
        ("HandlerPolicyArns", "arn:aws:iam::aws:policy/a,"),
        ("ExtensionLayerArns", EXTENSIONS[0].rsplit(":", 1)[0]),
        ("ExtensionLayerArns", ",".join(EXTENSIONS * 3)),
        ("HandlerSettings", "x" * 2049),
        ("Destination", ""),
        ("Destination", "Log"),
        ("Destination", "handle-orders"),
        ("Destination", QUEUE + ".fif"),
        ("Destination", f"{TOPIC}:4b6f"),
        ("Destination", BUS.replace("event-bus", "rule")),
        ("Destination", KEY),
        ("Destination", f"{FUNCTION}:"),
        ("Destination", f"{FUNCTION},{FUNCTION}"),
        ("Destination", f"{FUNCTION}:{'v' * 65}"),
        ("Destination", FUNCTION.replace("function", "layer")),
        ("Destination", f"{DESTINATION_TABLE}/index/by-name"),
        ("Destination", DESTINATION_TABLE.replace("table/customers", "table/ab")),
        ("Destination", f'{{"orders":"{DESTINATION_TABLE}/stream/x"}}'),
        ("Destination", DESTINATION_TABLE.replace("customers", "t" * 101)),
        ("Destination", '["log"]'),
        ("Destination", f'{{"orders":"{FUNCTION}"'),
        ("Destination", f'{{"orders":"{KEY}"}}'),
        ("Destination", f'{{"orders":"{FUNCTION}:live:2"}}'),
        # The program reads both, and the role would lack them.
        ("Destination", f'{{"orders":" {FUNCTION}"}}'),
        ("Destination", f'{{"orders":"{FUNCTION} "}}'),
        ("Destination", f'{{"orders":"{FUNCTION}","refunds":"{KEY}"}}'),
        ("Destination", json.dumps({str(number): f"{FUNCTION}{number}" for number in range(6)})),
        ("Destination", "http://127.0.0.1/"),
        ("Destination", "https://"),
        ("Destination", "https://user:password@example.com/"),
        ("Destination", "https://example.com/#part"),
        ("Destination", "https://example.com/a b"),
        ("HttpHeadersSecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook"),
        ("BatchSize", "0"),
        ("BatchSize", "10001"),
        ("BatchSize", "1e3"),
        ("OnFailure", "kafka://"),
        ("OnFailure", "drop"),
        ("StartPosition", "2026-01-31"),
        ("MaxMessages", "0"),
        ("SubnetIds", "subnet-0a1b2c3d, subnet-4e5f6a7b"),
        ("ExistingTable", "arn:aws:dynamodb:eu-central-1:123456789012:table/offsets"),
    ],
)
def test_a_wrong_value_is_refused(name, wrong):
    assert not re.fullmatch(PARAMETERS[name]["AllowedPattern"], wrong)


@pytest.mark.parametrize(
    "name, value",
    [
        ("KafkaBootstrapServers", "b-1.shop.kafka.eu-central-1.amazonaws.com:9098,b-2:9098"),
        ("KafkaBootstrapServers", "[2001:db8::1]:9092"),
        ("HandlerPolicyArns", ",".join(HANDLER_POLICIES)),
        ("ExtensionLayerArns", ",".join(EXTENSIONS)),
        ("HandlerSettings", '{"a":\n"=,"}'),
        ("KafkaTopic", "a,b.c,d_e"),
        ("Destination", FUNCTION),
        ("Destination", ALIAS),
        ("Destination", f"{FUNCTION}:$LATEST"),
        ("Destination", f"{FUNCTION}:17".replace("aws:", "aws-cn:")),
        ("Destination", ROUTES),
        ("Destination", QUEUE),
        ("Destination", f"{QUEUE}.fifo"),
        ("Destination", TOPIC),
        ("Destination", f"{TOPIC}.fifo"),
        ("Destination", BUS),
        ("Destination", BUS.replace("orders", "aws.partner/example.com/1")),
        ("Destination", SERVICES),
        ("Destination", DESTINATION_TABLE),
        ("Destination", json.dumps({"orders": FUNCTION, "customers": {"to": DESTINATION_TABLE}})),
        ("Destination", '{"orders":"log"}'),
        ("Destination", json.dumps({str(number): f"{FUNCTION}{number}" for number in range(5)}, indent=1)),
        ("Destination", "https://example.com:8443/orders?tenant=7"),
        ("Destination", '{"orders":{"to":"https://example.com/orders","envelope":"record"},"users":"log"}'),
        ("BatchSize", "1"),
        ("BatchSize", "10000"),
        ("SecretKeyArns", "arn:aws:kms:x:123456789012:key/a-1,arn:aws-us-gov:kms:x:123456789012:key/b-2"),
        ("OnFailure", "arn:aws-cn:sqs:cn-north-1:123456789012:dead.fifo"),
        ("StartPosition", "2026-01-31T08:00:00.5+01:00"),
    ],
)
def test_a_valid_value_is_accepted(name, value):
    assert re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)


def without(settings, *names):
    return {name: "" if name in names else value for name, value in settings.items()}


DO_NOT_GO_TOGETHER = [
    ({"KafkaSecurityProtocol": "SASL_SSL"}, "SaslNeedsAMechanism"),
    ({"KafkaSaslMechanism": "PLAIN"}, "AMechanismNeedsSasl"),
    (without(SCRAM, "KafkaSecretArn"), "PasswordsNeedASecret"),
    ({"KafkaSecretArn": SECRET}, "SecretsNeedALogin"),
    ({**IAM, "KafkaSecretArn": SECRET}, "SecretsNeedALogin"),
    ({"KafkaCaSecretArn": CA_SECRET}, "CertificatesNeedTls"),
    ({**SCRAM, "KafkaSecurityProtocol": "SASL_PLAINTEXT"}, "CertificatesNeedTls"),
    ({**IAM, "KafkaSecurityProtocol": "SASL_PLAINTEXT"}, "IamNeedsTlsAndACluster"),
    (without(IAM, "MskClusterArn"), "IamNeedsTlsAndACluster"),
    ({**STACKS["a layer"], **STACKS["a shared layer"]}, "OneLayer"),
    ({"AlarmTopicArn": "arn:aws:sns:x:123456789012:ops", "AlarmEmail": "ops@example.com"}, "OneTopic"),
    ({**VPC, "InterfaceEndpoints": "false", "EndpointSubnetIds": VPC["SubnetIds"]}, "EndpointSubnetsNeedEndpoints"),
    ({**VPC, "FipsEndpoints": "true"}, "FipsNeedsAnotherWay"),
    ({"DualStack": "true"}, "DualStackNeedsSubnets"),
    ({"DeadLetterKeyArn": KEY}, "AKeyNeedsAQueue"),
    ({"DeadLetterKeyArn": KEY, "OnFailure": "queue"}, "AKeyNeedsAQueue"),
    ({"Shards": 2, "ReservedConcurrency": 1}, "ReservedForTwoShards"),
    ({"Shards": 3, "ReservedConcurrency": 2}, "ReservedForThreeShards"),
    ({"Shards": 4, "ReservedConcurrency": 1}, "ReservedForFourShards"),
    ({"Shards": 4, "ReservedConcurrency": 3}, "ReservedForFourShards"),
    ({"SubnetIds": VPC["SubnetIds"]}, "SubnetsNeedSecurityGroups"),
    ({"SecurityGroupIds": VPC["SecurityGroupIds"]}, "SecurityGroupsNeedSubnets"),
    (without(VPC, "VpcId"), "EndpointsNeedAVpc"),
    ({"RouteTableIds": "rtb-0a1b2c3d", "VpcId": "vpc-0a1b2c3d"}, "EndpointsNeedAVpc"),
    ({"InterfaceEndpoints": "true", "VpcId": "vpc-0a1b2c3d"}, "EndpointsNeedAVpc"),
]


@pytest.mark.parametrize("wrong, rule", DO_NOT_GO_TOGETHER)
def test_values_that_contradict_each_other_are_refused_before_anything_is_created(wrong, rule):
    with pytest.raises(RefusedByRule, match=rule):
        stack(**wrong)


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_none_all_or_enough_concurrency_may_be_reserved(shards):
    for reserved in (-1, 0, shards, shards + 1):
        assert stack(Shards=shards, ReservedConcurrency=reserved)


def test_each_rule_is_tested():
    assert {rule for _, rule in DO_NOT_GO_TOGETHER} == set(template()["Rules"])


def test_each_condition_is_true_in_one_tested_stack_and_false_in_another():
    stacks = [stack(name) for name in STACKS]
    for name in template()["Conditions"]:
        assert {each._holds(name) for each in stacks} == {True, False}, name


def test_the_template_is_below_what_cloudformation_reads_from_a_bucket():
    """1 MB; this is far below it, so that the template stays one that people read."""
    assert len(TEXT.encode()) <= 100_000


def longest(name):
    """The longest values that the parameters of names take."""
    return {
        "AWS::StackName": "s" * 128,
        "KafkaTopic": ",".join([letter * 249 for letter in "abcde"]),
        "KafkaGroupId": "g" * 250,
        "OnFailure": "kafka://" + "d" * 249,
        "Destination": json.dumps({letter: f"{FUNCTION.rsplit(':', 1)[0]}:{letter * 64}:{'v' * 64}" for letter in "abcde"}),
    }[name]


# The limits of AWS's models and of CloudFormation's reference.
LIMITS = {
    ("AWS::Lambda::Function", "Description"): 256,
    ("AWS::Lambda::LayerVersion", "Description"): 256,
    ("AWS::CloudWatch::Alarm", "AlarmName"): 255,
    ("AWS::CloudWatch::Alarm", "AlarmDescription"): 1024,
    ("AWS::CloudWatch::Alarm", "Expression"): 2048,
    ("AWS::CloudWatch::Dashboard", "DashboardName"): 255,
    ("AWS::EC2::SecurityGroup", "GroupDescription"): 255,
}


def longest_tables(functions):
    """Of five ARNs so many of functions, the others of tables."""
    names = json.loads(longest("Destination"))
    tables = {letter: DESTINATION_TABLE.replace("customers", letter * 100) for letter in list(names)[functions:]}
    return json.dumps(names | tables)


@pytest.mark.parametrize("destination", [longest("Destination"), longest_tables(4), longest_tables(0)])
@pytest.mark.parametrize("choice", ["skip", "queue", longest("OnFailure")])
def test_the_longest_names_fit_wherever_they_stand(monkeypatch, choice, destination):
    monkeypatch.setitem(PSEUDO, "AWS::StackName", longest("AWS::StackName"))
    made = stack(**IAM, **VPC, EncryptionKeyArn=KEY, KafkaTopic=longest("KafkaTopic"), KafkaGroupId=longest("KafkaGroupId"), Destination=destination, OnFailure=choice)
    limited = set()
    for name, resource in made.resources.items():
        for key, value in leaves(resource["Properties"]):
            limit = LIMITS.get((resource["Type"], key))
            if limit:
                limited.add(key)
                assert len(value) <= limit, f"{name}: {key}"
    assert {"Description", "AlarmName", "Expression"} <= limited
    # IAM counts all inline policies of a role together, without white space.
    policies = made.properties("FunctionRole")["Policies"] + [made.properties(name) for name in ("NetworkInterfacesAreLambdas", "KeyIsTheServices")]
    assert sum(len(json.dumps(each["PolicyDocument"], separators=(",", ":"))) for each in policies) <= 10_240


def test_the_template_needs_no_macro_and_no_other_stack():
    assert "Transform" not in template()
    assert "AWS::CloudFormation::Stack" not in TEXT and "AWS::Include" not in TEXT


def test_no_region_account_or_partition_is_written_down():
    body = TEXT[TEXT.index("\nConditions:") :]
    assert "arn:aws" not in body
    assert not re.search(r"\b[a-z]{2}-[a-z]+-[0-9]\b", body)
    assert not re.search(r"\b[0-9]{12}\b", TEXT)


def test_no_yaml_alias_is_used():
    """CloudFormation does not read them, though every other parser does."""
    assert not re.search(r"(^|[\s\[{])[&*][A-Za-z]", re.sub(r'"[^"]*"|^\s*#.*$', "", TEXT, flags=re.M))


def test_the_deployment_page_explains_every_parameter_with_its_default():
    page = (ROOT / "docs/DEPLOYMENT.md").read_text()
    rows = re.findall(r"^\| (`[^|]+)\|([^|]*)\|", page.split("## Parameters")[1].split("\n## ")[0], re.MULTILINE)
    listed = {name: default.strip() for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert listed.keys() == PARAMETERS.keys()
    for name, rules in PARAMETERS.items():
        default = rules.get("Default")
        if default is not None and str(default) != "":
            assert listed[name] == f"`{default}`", name
        elif default == "":
            assert listed[name] == "" or listed[name].startswith("set by"), name
        else:
            assert listed[name] == "needed" or listed[name].startswith("set by"), name
