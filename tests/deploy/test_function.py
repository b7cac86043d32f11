"""The function's settings are those of src/config/setting.rs; the table is what the code expects."""

import re

import pytest

from stack import ALIAS, CA_SECRET, CLUSTER, EXTENSIONS, HANDLER_POLICIES, ROOT, SECRET, STACKS, stack, template

SETTINGS = dict(
    re.findall(
        r'variable: "(\w+)",\s+alias: [^\n]+\s+default: (?:Some\("([^"]*)"\)|None)',
        (ROOT / "src/config/setting.rs").read_text(),
    )
)
# Settings of librdkafka, and secrets.
OTHERS = {"KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_SECRET_ARN", "KAFKA_CA_SECRET_ARN", "HTTP_HEADERS_SECRET_ARN"}
# Of a handler, and of AWS's own library.
NOT_THE_PROGRAMS = {"HANDLER_SETTINGS", "AWS_USE_FIPS_ENDPOINT"}
# The deadline of the function applies instead.
NOT_IN_LAMBDA = {"TIME_LIMIT"}


SHARED_LAYER = STACKS["a shared layer"]["LayerArn"]


def variables(made):
    return made.properties("Function")["Environment"]["Variables"]


def test_every_setting_of_the_program_is_set_by_the_template():
    every = template()["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    assert len(SETTINGS) >= 16, "the table in setting.rs is read"
    assert set(every) - OTHERS - NOT_THE_PROGRAMS == SETTINGS.keys() - NOT_IN_LAMBDA - OTHERS


def test_the_parameters_have_the_names_of_the_variables():
    for variable in SETTINGS.keys() - NOT_IN_LAMBDA - {"DYNAMODB_TABLE"}:
        assert variable.title().replace("_", "") in template()["Parameters"]


def test_parameters_left_at_their_default_have_the_programs_default():
    for variable, value in variables(stack()).items():
        parameter = template()["Parameters"].get(variable.title().replace("_", ""), {})
        if variable in SETTINGS and "Default" in parameter:
            assert value == SETTINGS[variable]


def test_an_empty_parameter_sets_no_variable():
    assert OTHERS & variables(stack()).keys() == {"KAFKA_SECURITY_PROTOCOL"}
    assert not {"MAX_MEMORY_BYTES", "MESSAGE_FORMAT", "BATCH_SIZE", "MSK_CLUSTER_ARN", *NOT_THE_PROGRAMS} & variables(stack()).keys()


def test_secrets_are_referenced_by_arn_only():
    made = variables(stack("SCRAM in a VPC"))
    assert (made["KAFKA_SECRET_ARN"], made["KAFKA_CA_SECRET_ARN"]) == (SECRET, CA_SECRET)
    assert not [name for name in template()["Parameters"] if re.search("Password|Username|Pem|Token", name)]


@pytest.mark.parametrize(
    "chosen, variable",
    [("queue", "arn:made-up:DeadLetterQueue"), ("skip", "skip"), ("kafka://dead", "kafka://dead")],
)
def test_dead_letters_go_where_they_are_sent(chosen, variable):
    assert variables(stack(OnFailure=chosen))["ON_FAILURE"] == variable


def test_a_destination_function_gets_batches_in_the_format_of_the_program_unless_one_is_set():
    made = variables(stack("a destination function"))
    assert (made["DESTINATION"], made["BATCH_SIZE"], made["PARALLELIZATION_FACTOR"]) == (ALIAS, "500", "4")
    assert "MESSAGE_FORMAT" not in made
    assert variables(stack("destination functions by topic, in a VPC"))["MESSAGE_FORMAT"] == "text"


def test_the_cluster_of_msk_is_the_source_of_events_whatever_the_authentication():
    assert variables(stack(MskClusterArn=CLUSTER))["MSK_CLUSTER_ARN"] == CLUSTER


def test_the_function_writes_to_its_table():
    assert variables(stack())["DYNAMODB_TABLE"] == "made-up:Table"
    assert variables(stack("a table from before"))["DYNAMODB_TABLE"] == "offsets"


def test_the_table_has_the_keys_of_the_code_and_is_protected_from_deletion():
    table = stack().properties("Table")
    names = dict(re.findall(r'const (\w+): &str = "(\w+)"', (ROOT / "src/store/dynamodb/item/mod.rs").read_text()))
    keys = re.findall(
        r"\(name::(\w+), KeyType::(\w+), ScalarAttributeType::(\w)\)", (ROOT / "src/store/dynamodb/table.rs").read_text()
    )
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        (names[name], kind.upper()) for name, kind, _ in keys
    ]
    assert [(each["AttributeName"], each["AttributeType"]) for each in table["AttributeDefinitions"]] == [
        (names[name], scalar) for name, _, scalar in keys
    ]
    assert len(keys) == 2
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] == "true"


def test_a_failed_tick_is_not_repeated_and_an_old_one_not_kept(every_stack):
    config = every_stack.properties("EventInvokeConfig")
    assert config["FunctionName"] == "made-up:Function"
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 60)
    assert ("DestinationConfig" in config) == (every_stack.parameters["FailedInvocations"] == "queue")


def test_the_function_is_a_bootstrap_that_logs_json(every_stack):
    function = every_stack.properties("Function")
    assert (function["Runtime"], function["Handler"]) == ("provided.al2023", "bootstrap")
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["LoggingConfig"]["LogGroup"] == "made-up:LogGroup"
    assert int(every_stack.properties("LogGroup")["RetentionInDays"]) > 0


def test_no_level_of_logs_drops_the_metrics():
    """Lambda takes a line without a level, as those of the metrics are, for INFO."""
    assert template()["Parameters"]["LogLevel"]["AllowedValues"] == ["INFO", "DEBUG", "TRACE"]


def test_concurrency_is_reserved_only_where_it_is_set():
    assert "ReservedConcurrentExecutions" not in stack().properties("Function")
    assert stack("four shards").properties("Function")["ReservedConcurrentExecutions"] == "8"
    assert stack(ReservedConcurrency=0).properties("Function")["ReservedConcurrentExecutions"] == "0"


def test_the_layer_is_made_or_shared():
    assert "Layers" not in stack().properties("Function")
    made = stack("a layer")
    assert made.properties("Function")["Layers"] == ["arn:made-up:Layer"]
    for name in ("Function", "Layer"):
        assert "arm64" in str(made.properties(name))
    shared = stack("a shared layer")
    assert shared.properties("Function")["Layers"] == [shared.parameters["LayerArn"]]


@pytest.mark.parametrize("choice, own", [({}, []), ({"LayerKey": "layer.zip"}, ["arn:made-up:Layer"]), ({"LayerArn": SHARED_LAYER}, [SHARED_LAYER])])
def test_layers_with_extensions_are_added_to_the_functions_layer(choice, own):
    made = stack(**choice, ExtensionLayerArns=",".join(EXTENSIONS))
    assert made.properties("Function")["Layers"] == [*own, *EXTENSIONS]


def test_a_custom_handler_gets_its_settings_and_its_policies():
    made = stack("a handler of one's own")
    assert variables(made)["HANDLER_SETTINGS"] == '{"table": "customers"}'
    assert made.properties("FunctionRole")["ManagedPolicyArns"] == HANDLER_POLICIES
    assert "ManagedPolicyArns" not in stack().properties("FunctionRole")


def test_fips_endpoints_and_traces_are_used_where_they_are_chosen():
    made = stack("a handler of one's own")
    assert variables(made)["AWS_USE_FIPS_ENDPOINT"] == "true"
    assert made.properties("Function")["TracingConfig"] == {"Mode": "Active"}
    assert stack().properties("Function")["TracingConfig"] == {"Mode": "PassThrough"}


def test_a_customer_managed_key_encrypts_everything_that_is_stored():
    made = stack("a key of one's own")
    key = made.parameters["EncryptionKeyArn"]
    assert made.properties("Table")["SSESpecification"]["KMSMasterKeyId"] == key
    assert made.properties("LogGroup")["KmsKeyId"] == key
    assert made.properties("Function")["KmsKeyArn"] == key
    for name in ("DeadLetterQueue", "FailedInvocationsQueue", "AlarmTopic"):
        assert made.properties(name)["KmsMasterKeyId"] == key


@pytest.mark.parametrize("queue, chosen", [("DeadLetterQueue", {"OnFailure": "queue"}), ("FailedInvocationsQueue", {"FailedInvocations": "queue"})])
def test_queues_are_encrypted_and_closed_to_plain_http(queue, chosen):
    made = stack(**chosen)
    assert made.properties(queue)["SqsManagedSseEnabled"] is True
    assert made.properties(queue)["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}, "it is no other queue's"
    policy = made.properties(f"{queue}Policy")
    statement, = policy["PolicyDocument"]["Statement"]
    assert policy["Queues"] == [f"made-up:{queue}"]
    assert statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_function_is_in_the_vpc_with_subnets_and_security_groups():
    config = stack("SCRAM in a VPC").properties("Function")["VpcConfig"]
    assert config["SubnetIds"] == ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]
    assert config["SecurityGroupIds"] == ["sg-0a1b2c3d", "sg-4e5f6a7b"]
    assert config["Ipv6AllowedForDualStack"] == "false"
    assert stack("endpoints in subnets of their own").properties("Function")["VpcConfig"]["Ipv6AllowedForDualStack"] == "true"
    assert "VpcConfig" not in stack().properties("Function")


@pytest.mark.parametrize(
    "name, subnets", [("SCRAM in a VPC", ["subnet-0a1b2c3d", "subnet-4e5f6a7b"]), ("endpoints in subnets of their own", ["subnet-0a1b2c3d"])]
)
def test_endpoints_are_in_subnets_of_their_own_or_the_functions(name, subnets):
    assert stack(name).properties("SecretsEndpoint")["SubnetIds"] == subnets


def test_endpoints_are_of_services_that_the_function_uses():
    def services(made):
        return {
            each["ServiceName"].removeprefix("com.amazonaws.xx-test-1."): each["VpcEndpointType"]
            for each in made.of_type("AWS::EC2::VPCEndpoint").values()
        }

    assert services(stack("SCRAM in a VPC")) == {"dynamodb": "Gateway", "secretsmanager": "Interface", "sqs": "Interface"}
    assert services(stack("destination functions by topic, in a VPC")) == {"dynamodb": "Gateway", "lambda": "Interface"}
    assert services(stack("a private CA alone")) == {"dynamodb": "Gateway", "secretsmanager": "Interface"}
    assert services(stack("MSK IAM in a VPC with a NAT")) == {}
    assert services(stack()) == {}


def test_endpoints_let_only_the_function_in():
    group = stack("SCRAM in a VPC").properties("EndpointGroup")
    ingress, = group["SecurityGroupIngress"]
    assert (ingress["SourceSecurityGroupId"], ingress["FromPort"], ingress["ToPort"]) == ("sg-0a1b2c3d", 443, 443)
    assert "CidrIp" not in ingress
