"""The gRPC messages between the Functions host and a Python worker: what of them this host and the worker's code use.

A table makes protobuf's classes of them, so nothing has to be generated. Both ends import it, each with the protobuf of
its own environment.
"""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "AzureFunctionsRpcMessages"

SERVICE: Final = f"{_PACKAGE}.FunctionRpc"
"""The service of the host; `EventStream` is its only method."""

UNLIMITED: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
"""The options of both ends."""

# The fields of each message by number, with their types: `*T` is repeated, `K>V` a map.
_MESSAGES: Final[Mapping[str, Mapping[int, tuple[str, str]]]] = {
    "StreamingMessage": {
        2: ("rpc_log", "RpcLog"),
        4: ("invocation_request", "InvocationRequest"),
        5: ("invocation_response", "InvocationResponse"),
        8: ("function_load_request", "FunctionLoadRequest"),
        9: ("function_load_response", "FunctionLoadResponse"),
        16: ("worker_init_response", "WorkerInitResponse"),
        17: ("worker_init_request", "WorkerInitRequest"),
        20: ("start_stream", "StartStream"),
        29: ("functions_metadata_request", "FunctionsMetadataRequest"),
        30: ("function_metadata_response", "FunctionMetadataResponse"),
    },
    "StartStream": {2: ("worker_id", "string")},
    "WorkerInitRequest": {
        1: ("host_version", "string"),
        2: ("capabilities", "string>string"),
        5: ("function_app_directory", "string"),
    },
    "WorkerInitResponse": {
        2: ("capabilities", "string>string"),
        3: ("result", "StatusResult"),
        4: ("worker_metadata", "WorkerMetadata"),
    },
    "WorkerMetadata": {
        1: ("runtime_name", "string"),
        2: ("runtime_version", "string"),
        3: ("worker_version", "string"),
        4: ("worker_bitness", "string"),
        5: ("custom_properties", "string>string"),
    },
    "FunctionsMetadataRequest": {1: ("function_app_directory", "string")},
    "FunctionMetadataResponse": {
        1: ("function_metadata_results", "*RpcFunctionMetadata"),
        2: ("result", "StatusResult"),
        3: ("use_default_metadata_indexing", "bool"),
    },
    "RpcFunctionMetadata": {
        1: ("directory", "string"),
        2: ("script_file", "string"),
        3: ("entry_point", "string"),
        4: ("name", "string"),
        6: ("bindings", "string>BindingInfo"),
        7: ("is_proxy", "bool"),
        9: ("language", "string"),
        10: ("raw_bindings", "*string"),
        13: ("function_id", "string"),
        14: ("managed_dependency_enabled", "bool"),
        15: ("retry_options", "RpcRetryOptions"),
        16: ("properties", "string>string"),
    },
    "BindingInfo": {
        2: ("type", "string"),
        3: ("direction", "BindingInfo.Direction"),
        4: ("data_type", "BindingInfo.DataType"),
    },
    "RpcRetryOptions": {},
    "FunctionLoadRequest": {1: ("function_id", "string"), 2: ("metadata", "RpcFunctionMetadata")},
    "FunctionLoadResponse": {1: ("function_id", "string"), 2: ("result", "StatusResult")},
    "InvocationRequest": {
        1: ("invocation_id", "string"),
        2: ("function_id", "string"),
        3: ("input_data", "*ParameterBinding"),
        4: ("trigger_metadata", "string>TypedData"),
        5: ("trace_context", "RpcTraceContext"),
        6: ("retry_context", "RetryContext"),
    },
    "RpcTraceContext": {
        1: ("trace_parent", "string"),
        2: ("trace_state", "string"),
        3: ("attributes", "string>string"),
    },
    "RetryContext": {
        1: ("retry_count", "int32"),
        2: ("max_retry_count", "int32"),
        3: ("exception", "RpcException"),
    },
    "InvocationResponse": {
        1: ("invocation_id", "string"),
        2: ("output_data", "*ParameterBinding"),
        3: ("result", "StatusResult"),
        4: ("return_value", "TypedData"),
    },
    "ParameterBinding": {1: ("name", "string"), 2: ("data", "TypedData")},
    "TypedData": {
        1: ("string", "string"),
        2: ("json", "string"),
        3: ("bytes", "bytes"),
        5: ("http", "RpcHttp"),
    },
    "RpcHttp": {
        1: ("method", "string"),
        2: ("url", "string"),
        3: ("headers", "string>string"),
        4: ("body", "TypedData"),
        10: ("params", "string>string"),
        15: ("query", "string>string"),
    },
    "StatusResult": {2: ("exception", "RpcException"), 4: ("status", "StatusResult.Status")},
    "RpcException": {1: ("stack_trace", "string"), 2: ("message", "string")},
    "RpcLog": {
        2: ("category", "string"),
        3: ("level", "RpcLog.Level"),
        4: ("message", "string"),
    },
}

# The messages of which at most one field is set.
_ONE_OF: Final = {"StreamingMessage": "content", "TypedData": "data", "ParameterBinding": "rpc_data"}

_ENUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "StatusResult.Status": ("Failure", "Success", "Cancelled"),
    "BindingInfo.Direction": ("in", "out", "inout"),
    "BindingInfo.DataType": ("undefined", "string", "binary", "stream"),
    "RpcLog.Level": ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None"),
}

_SCALARS: Final = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
}


def _add_field(message: DescriptorProto, number: int, name: str, type_name: str) -> FieldDescriptorProto:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if type_name.startswith("*") or ">" in type_name:
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if ">" in type_name:  # a map is a repeated message of a key and a value
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        for index, of_entry in enumerate(type_name.split(">")):
            _add_field(entry, index + 1, ("key", "value")[index], of_entry)
        type_name = f"{message.name}.{entry.name}"
    type_name = type_name.removeprefix("*")
    if type_name in _SCALARS:
        field.type = _SCALARS[type_name]
    else:
        field.type = FieldDescriptorProto.TYPE_ENUM if type_name in _ENUMS else FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{type_name}"
    return field


def _add_enums(message: DescriptorProto, names: Iterable[str]) -> None:
    for name in names:
        added = message.enum_type.add(name=name.partition(".")[2])
        for number, value in enumerate(_ENUMS[name]):
            added.value.add(name=value, number=number)


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="functions_host.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        _add_enums(message, (enum for enum in _ENUMS if enum.startswith(f"{name}.")))
        if name in _ONE_OF:
            message.oneof_decl.add(name=_ONE_OF[name])
        for number, (field_name, type_name) in fields.items():
            field = _add_field(message, number, field_name, type_name)
            if name in _ONE_OF and (name, field_name) != ("ParameterBinding", "name"):
                field.oneof_index = 0
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


protos: Final[Any] = SimpleNamespace(**_classes())
"""The classes of the messages by name, as the worker's code expects them."""
