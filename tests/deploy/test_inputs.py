"""The errors of a deployment that are detected before any request to AWS."""

import pytest

import inputs
import packages
from stack import TEMPLATE, template

KNOWN = inputs.template_parameters(TEMPLATE.read_text())


def test_the_templates_parameters_are_read_as_a_yaml_parser_reads_them():
    assert KNOWN == {
        name: str(rules["Default"]) if "Default" in rules else None for name, rules in template()["Parameters"].items()
    }


def problems(text):
    return inputs.read_parameters(text, KNOWN)[1]


def test_lines_comments_and_line_ends_of_windows_are_read():
    values, wrong = inputs.read_parameters("# brokers\r\nKafkaTopic=a,b\r\n\n  OnFailure=kafka://x=y \nCodeSigningConfigArn=", KNOWN)
    assert (values, wrong) == ({"KafkaTopic": "a,b", "OnFailure": "kafka://x=y", "CodeSigningConfigArn": ""}, [])


@pytest.mark.parametrize(
    "written, meant",
    [
        ("OnFailiure", "OnFailure"),
        ("AlarmMail", "AlarmEmail"),
        ("EncryptionKeyARN", "EncryptionKeyArn"),
        ("KAFKA_TOPIC", "KafkaTopic"),
        ("kafkagroupid", "KafkaGroupId"),
        ("BootstrapServers", "KafkaBootstrapServers"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_right_one(written, meant):
    assert problems(f"{written}=x") == [f"line 1: there is no parameter {written!r}: is {meant} meant?"]


def test_a_name_without_a_similar_one_refers_to_the_readme():
    assert problems("Zzz=x") == ["line 1: there is no parameter 'Zzz'; docs/DEPLOYMENT.md lists the parameters"]


def test_a_space_beside_the_equals_sign_is_reported():
    assert problems("KafkaTopic = orders") == ["line 1: there is no parameter 'KafkaTopic ': is KafkaTopic meant?"]


def test_all_errors_of_a_file_are_reported_at_once_without_values():
    wrong = problems("KafkaTopic=a\nhunter2\nKafkaTopic=b\nKafkaTopics=c\nCodeKey=d")
    assert [each.split(":")[0].split(" is")[0] for each in wrong] == ["line 2", "line 3", "line 4", "line 5"]
    assert "already set in line 1" in wrong[1] and "hunter2" not in str(wrong)


@pytest.mark.parametrize("name", ["CodeBucket", "CodeKey", "CodeVersion"])
def test_parameters_of_the_upload_are_refused_in_the_file(name):
    assert problems(f"{name}=x") == [f"line 1: {name} follows from BUCKET and PACKAGE, so it has no place in the file"]


def test_parameters_without_a_default_are_required():
    assert inputs.missing_parameters({"KafkaTopic": "a"}, KNOWN) == [
        "KafkaBootstrapServers",
        "KafkaGroupId",
        "KafkaSecurityProtocol",
    ]


def test_tags_are_separated_by_spaces_and_quotes_keep_spaces():
    assert inputs.read_tags("team=x 'cost centre=12 a' empty=") == (
        [{"Key": "team", "Value": "x"}, {"Key": "cost centre", "Value": "12 a"}, {"Key": "empty", "Value": ""}],
        [],
    )


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("team", "must be key=value"),
        ("=x", "must be key=value"),
        ("a=1 a=2", "sets a twice"),
        ("aws:x=1", "keeps for itself"),
        ("'a=1", "a quote without its end"),
        ("a=" + "x" * 257, "longer than AWS allows"),
        (" ".join(f"t{number}=1" for number in range(51)), "51 tags"),
    ],
)
def test_tags_that_aws_would_refuse_are_refused(tags, expected):
    assert expected in inputs.read_tags(tags)[1][0]


@pytest.mark.parametrize("processor", ["x86_64", "arm64"])
def test_the_processor_is_the_one_that_the_package_was_built_for(processor, tmp_path):
    assert inputs.Program(packages.function(tmp_path / "f.zip", processor), "bootstrap").processor == processor


@pytest.mark.parametrize("needs, result", [((), False), (("libc.so.6",), False), (("libc.so.6", "librdkafka.so.1"), True)])
def test_a_function_that_loads_librdkafka_needs_the_layer(needs, result, tmp_path):
    made = packages.function(tmp_path / "f.zip", needs=needs)
    assert inputs.Program(made, "bootstrap").needs_layer == result


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda path: path.write_text("text"), "no zip archive"),
        (lambda path: packages.pack(path, "main", b""), "no file bootstrap"),
        (lambda path: packages.pack(path, "bootstrap", b"#!/bin/sh\n"), "no program for Linux"),
        (lambda path: packages.pack(path, "bootstrap", b""), "no program for Linux"),
        (lambda path: packages.function(path, "riscv64"), "for another processor"),
        (lambda path: packages.function(path, mode=0o644), "may not be executed"),
        (lambda path: packages.pack(path, "bootstrap", packages.program()[:100]), "damaged"),
        (lambda path: packages.pack(path, "bootstrap", packages.program(needs=["a"])[:-2]), "damaged"),
    ],
)
def test_a_file_that_lambda_could_not_start_is_refused(make, expected, tmp_path):
    make(tmp_path / "f.zip")
    with pytest.raises(inputs.NotAPackage, match=expected):
        inputs.Program(tmp_path / "f.zip", "bootstrap")
