"""Pickle values: valid ones, and ones that name only allowed globals but would break the program that loads them."""

from tests.server.inspection.builders import call, named, number, sequence, table, text
from tests.server.inspection.pickle_parts import (
    FALSE,
    HOOKS,
    NONE,
    TENSOR,
    TRUE,
    WHOLE_STORAGE,
    array,
    long_number,
    nest_pairs,
    numbers,
    numpy_dtype,
    numpy_scalar,
    numpy_state,
    parameter,
    quantized,
    raw,
    real,
    storage,
    view,
    view_all_as,
    view_bytes_as,
)

VALID_VALUES = {
    "a view": view(),
    "a view of a part": view(number(1), numbers(2), numbers(2)),
    "a repeated row": view(number(0), numbers(8, 4), numbers(0, 1)),
    "an empty tensor": view(number(0), numbers(0, 7), numbers(7, 1)),
    "no dimensions": view(number(3), b")", b")"),
    "gradients": view(*WHOLE_STORAGE, TRUE, HOOKS),
    "hooks that are None": view(*WHOLE_STORAGE, FALSE, NONE),
    "conjugated": view(
        number(0), numbers(2), numbers(1), FALSE, HOOKS, table(conj=TRUE), of=storage("ComplexFloatStorage", 2)
    ),
    "negated": view_all_as("float16", table(neg=TRUE)),
    "negated and conjugated": view_all_as("complex64", table(neg=TRUE, conj=TRUE)),
    "negated complex halves": view_all_as("complex32", table(neg=TRUE)),
    "8-bit floats": view_all_as("float8_e4m3fn"),
    "gradients of a parameter of 8-bit floats": parameter(view_all_as("float8_e4m3fn"), TRUE),
    "a quantized tensor": quantized(named("torch", "per_tensor_affine"), real(0.1), number(3)),
    "a NumPy scalar": numpy_scalar(numpy_dtype() + numpy_state()),
    "a NumPy scalar of NumPy 1": numpy_scalar(numpy_dtype("f8", number(0), number(1)) + numpy_state(), core="core"),
    "a NumPy scalar without a state": numpy_scalar(numpy_dtype()),
    "nesting as deep as allowed": NONE + b"\x85" * 64,
    "a tuple as key": b"}" + numbers(1, 2) + TENSOR + b"s",
    "a table of Python 2": call(named("collections", "OrderedDict"), array(array(text("w"), TENSOR))),
    "a text of Python 2": b"U\x03abc",
}

NUMPY_ARRAY = call(named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), numbers(0), raw(b"b"))
OBJECT_FLAGS_CLEARED = numpy_state((1, text("|")), (7, number(0)))

INVALID_NUMPY = {
    "scalar of objects, flags cleared": numpy_scalar(numpy_dtype("O8") + OBJECT_FLAGS_CLEARED),
    "array of objects, flags cleared": NUMPY_ARRAY
    + sequence(number(1), numbers(1), numpy_dtype("O8") + OBJECT_FLAGS_CLEARED, FALSE, raw(b"A" * 8))
    + b"b",
    "_frombuffer of objects, flags cleared": call(
        named("numpy._core.numeric", "_frombuffer"),
        raw(b"A" * 8),
        numpy_dtype("O8") + OBJECT_FLAGS_CLEARED,
        numbers(1),
        text("C"),
    ),
    "a field behind the data": numpy_scalar(
        numpy_dtype("V8")
        + numpy_state(
            (1, text("|")),
            (3, sequence(text("x"))),
            (4, table(x=sequence(numpy_dtype("f8"), number(2**30)))),
            (5, number(8)),
        )
    ),
    "fields in a float": numpy_scalar(numpy_dtype() + numpy_state((3, sequence(text("x"))))),
    "an item size of 2^31": numpy_scalar(numpy_dtype() + numpy_state((5, number(2**31 - 1)))),
    "an alignment of 0": numpy_scalar(numpy_dtype() + numpy_state((6, number(0)))),
    "flags of objects": numpy_scalar(numpy_dtype() + numpy_state((7, number(63)))),
    "metadata": numpy_scalar(numpy_dtype() + numpy_state((0, number(4)), (7, sequence(number(0), table(a=NONE))))),
    "a subarray": numpy_scalar(numpy_dtype() + numpy_state((2, sequence(numpy_dtype(), numbers(2**30))))),
    "an unknown byte order": numpy_scalar(numpy_dtype() + numpy_state((1, text("?")))),
    "an integer": numpy_scalar(numpy_dtype("i8") + numpy_state()),
    "a long double": numpy_scalar(numpy_dtype("f16") + numpy_state()),
    "a text": numpy_scalar(numpy_dtype("U8") + numpy_state((5, number(32)), (6, number(4)))),
    "a date with metadata": numpy_scalar(numpy_dtype("M8") + numpy_state((0, number(4)))),
    "a list of fields": numpy_scalar(call(named("numpy", "dtype"), array(sequence(text("x"), text("O"))))),
    "a spelling with commas": numpy_scalar(numpy_dtype("f8,O")),
    "too little data": numpy_scalar(numpy_dtype() + numpy_state(), raw(bytes(7))),
    "no data": numpy_scalar(numpy_dtype() + numpy_state(), NONE),
    "a scalar of a scalar": numpy_scalar(numpy_scalar(numpy_dtype())),
    "an array's shape of -1": NUMPY_ARRAY + sequence(number(1), numbers(-1), numpy_dtype(), FALSE, raw(b"")) + b"b",
}

OVERSIZED_VALUES = {
    "a bytearray of 2^40": call(named("builtins", "bytearray"), long_number(2**40)),
    "a bytearray of 2^40 by Python 2's name": call(named("__builtin__", "bytearray"), long_number(2**40)),
    "a bytearray of a list": call(named("builtins", "bytearray"), array(number(300))),
    "a tensor of 2^40 by its class": call(named("torch", "Tensor"), long_number(2**40)),
    "a float tensor by its class": call(named("torch", "FloatTensor"), long_number(2**40)),
    "a storage by its class": call(named("torch.storage", "UntypedStorage"), long_number(2**40)),
    "3 million nested tuples": NONE + b"\x85" * 1_900_000,
    "nested lists": b"]" * 100 + b"a" * 99,
    "nested tables": (b"}" + NONE) * 99 + b"}" + b"s" * 99,
    "a list in itself": b"]q\x00h\x00a",
    "a table in itself": b"}q\x00" + text("me") + b"h\x00s",
    "a list in itself by a detour": b"]q\x00]q\x01h\x00ah\x01a",
    "a list filled after it was put away": b"]q\x00]q\x01ah\x01" + number(1) + b"a",
    "values that unfold into billions": nest_pairs(b")", 63),
    "a key that unfolds into billions": b"}" + nest_pairs(b")", 40) + NONE + b"s",
    "a memo of 2^31": text("x") + b"r\xff\xff\xff\x7f",
    "bytes made over and over": text("x" * 1_000_000)
    + b"q\x00]("
    + (named("_codecs", "encode") + b"h\x00" + text("latin1") + b"\x86R") * 40
    + b"e\x86",
    "a table copied over and over": array(*[array(number(1), number(2))] * 2000)
    + b"q\x00]("
    + (named("collections", "OrderedDict") + b"h\x00\x85R") * 2000
    + b"e\x86",
    "numbers whose hashes collide": b"}(" + b"".join(long_number(n * (2**61 - 1)) + NONE for n in range(100)) + b"u",
    "many keys that are tuples": b"}(" + b"".join(numbers(n) + NONE for n in range(1100)) + b"u",
}

INVALID_TENSORS: dict[str, bytes] = {
    "an offset of -1": view(number(-1)),
    "an offset behind the end": view(number(1)),
    "an offset of 2^62": view(long_number(2**62), numbers(0), numbers(1)),
    "an offset that is a float": view(real(0)),
    "a size of -1": view(size=numbers(-1)),
    "a size of 2^40": view(size=numbers(2**40)),
    "sizes whose product overflows": view(size=numbers(2**32, 2**32), stride=numbers(0, 0)),
    "sizes whose product overflows around a 0": view(size=numbers(2**40, 2**40, 0), stride=numbers(0, 0, 0)),
    "a repeated row of 2^40": view(size=numbers(2**40, 4), stride=numbers(0, 1)),
    "a size that is true": view(size=sequence(TRUE)),
    "a size that is a list": view(size=array(number(4))),
    "a size that is a number": view(size=number(4)),
    "40 dimensions": view(size=numbers(*[1] * 40), stride=numbers(*[1] * 40)),
    "a stride of -1": view(stride=numbers(-1)),
    "a stride beyond the end": view(stride=numbers(2)),
    "a stride that overflows": view(size=numbers(2), stride=numbers(2**63 - 1)),
    "fewer strides than sizes": view(size=numbers(2, 2)),
    "gradients of integers": view(number(0), numbers(2), numbers(1), TRUE, of=storage("LongStorage", 2)),
    "gradients by a number": view(*WHOLE_STORAGE, number(1), HOOKS),
    "hooks that are a function": view(*WHOLE_STORAGE, FALSE, sequence(named("collections", "OrderedDict"))),
    "hooks that are a plain table": view(*WHOLE_STORAGE, FALSE, b"}"),
    "hooks with an entry": view(*WHOLE_STORAGE, FALSE, HOOKS + number(1) + named("torch", "Size") + b"s"),
    "hooks filled afterwards": sequence(
        HOOKS + b"q\x00", view(*WHOLE_STORAGE, FALSE, b"h\x00"), b"h\x00" + number(1) + NONE + b"s"
    ),
    "unknown metadata": view(*WHOLE_STORAGE, FALSE, HOOKS, table(backend=TRUE)),
    "metadata that is no table": view(*WHOLE_STORAGE, FALSE, HOOKS, text("conj")),
    "metadata that is a number": view(*WHOLE_STORAGE, FALSE, HOOKS, table(neg=number(1))),
    "too few arguments": call(named("torch._utils", "_rebuild_tensor_v2"), storage()),
    "too many arguments": view(*WHOLE_STORAGE, FALSE, HOOKS, NONE, NONE),
    "no storage": view(of=NONE),
    "a tensor as storage": view(of=view()),
    "a global as storage": view(of=named("torch", "FloatStorage")),
    "8-bit floats beyond the end": view_bytes_as(named("torch", "float8_e4m3fn"), count=17),
    "complex halves beyond the end": view_bytes_as(named("torch", "complex32"), count=5),
    "bytes as objects": view_bytes_as(named("torch", "Size")),
    "bytes as quantized numbers": view_bytes_as(named("torch", "quint4x2")),
    "a text as dtype": view_bytes_as(text("float32")),
    "gradients of unsigned numbers": view_bytes_as(named("torch", "uint16"), count=8, flag=TRUE),
    "floats as 8-bit floats": view_bytes_as(named("torch", "float8_e4m3fn"), of=storage()),
}

# Tensors that torch refuses, or loads and then cannot copy.
UNUSABLE_TENSORS = {
    "a conjugated float": view(*WHOLE_STORAGE, FALSE, HOOKS, table(conj=TRUE)),
    "negated booleans": view_all_as("bool", table(neg=TRUE)),
    "booleans with a negation of false": view_all_as("bool", table(neg=FALSE)),
    "negated unsigned numbers": view_all_as("uint32", table(neg=TRUE)),
    "negated 8-bit floats": view_all_as("float8_e5m2", table(neg=TRUE)),
    "negated 4-bit floats": view_all_as("float4_e2m1fn_x2", table(neg=TRUE)),
    "complex halves that are negated and conjugated": view_all_as("complex32", table(neg=TRUE, conj=TRUE)),
    "gradients of 8-bit floats": view_all_as("float8_e4m3fn", flag=TRUE),
    "gradients of 4-bit floats": view_all_as("float4_e2m1fn_x2", flag=TRUE),
    "gradients of complex halves": view_all_as("complex32", flag=TRUE),
    "a parameter of 8-bit floats with gradients": parameter(view_all_as("float8_e4m3fn", flag=TRUE)),
}

INVALID_VALUES = {
    "a parameter of a table": call(named("torch._utils", "_rebuild_parameter"), b"}", TRUE, HOOKS),
    "a parameter with hooks": call(
        named("torch._utils", "_rebuild_parameter"), view(), TRUE, HOOKS + number(1) + NONE + b"s"
    ),
    "a parameter of integers": call(
        named("torch.nn.parameter", "Parameter"), view(size=numbers(2), of=storage("LongStorage", 2)), TRUE
    ),
    "a parameter whose state hides its data": call(
        named("torch._utils", "_rebuild_parameter_with_state"), view(), TRUE, HOOKS, table(data=NONE)
    ),
    "a parameter whose state is a list": call(
        named("torch._utils", "_rebuild_parameter_with_state"), view(), TRUE, HOOKS, array()
    ),
    "an attribute that is a tensor's own": call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("torch._utils", "_rebuild_tensor"),
        named("torch", "Tensor"),
        sequence(storage(), number(0), numbers(4), numbers(1)),
        table(__class__=named("torch", "Size")),
    ),
    "a class that is no tensor's": call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("torch._utils", "_rebuild_tensor"),
        named("torch", "Size"),
        sequence(storage(), number(0), numbers(4), numbers(1)),
        b"}",
    ),
    "a rebuilding of a rebuilding": call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("torch", "Tensor"),
        b")",
        b"}",
    ),
    "a quantized tensor of 2^40": quantized(
        named("torch", "per_tensor_affine"), real(0.1), number(0), size=numbers(2**40)
    ),
    "a quantized tensor of floats": quantized(
        named("torch", "per_tensor_affine"), real(0.1), number(0), size=numbers(4), of=storage()
    ),
    "a quantizer of texts": quantized(named("torch", "per_tensor_affine"), text("0.1"), number(0)),
    "a zero point of 2^30": quantized(named("torch", "per_tensor_affine"), real(0.1), number(2**30)),
    "an unknown quantizer": quantized(named("torch", "per_tensor_symmetric"), real(0.1), number(0)),
    "channels without tensors": quantized(named("torch", "per_channel_affine"), array(), array(), number(0)),
    "an ordinary view of quantized numbers": view(size=numbers(16), of=storage("QInt8Storage", 16)),
    "a sparse tensor": call(
        named("torch._utils", "_rebuild_sparse_tensor"),
        call(named("torch.serialization", "_get_layout"), text("torch.sparse_coo")),
        sequence(view(), view(), numbers(2**40)),
    ),
    "a nested tensor": call(named("torch._utils", "_rebuild_nested_tensor"), view(), view(), view(), view()),
    "a tensor without data": call(
        named("torch._utils", "_rebuild_meta_tensor_no_storage"),
        named("torch", "float32"),
        numbers(2**62),
        numbers(1),
        FALSE,
    ),
    "a wrapper": call(named("torch._utils", "_rebuild_wrapper_subclass"), named("torch", "Tensor"), b")"),
    "a tensor of a device": call(
        named("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"),
        view(),
        named("torch", "float32"),
        text("cuda:9"),
        FALSE,
    ),
    "an unknown device": call(named("torch", "device"), text("toaster")),
    "a device of index -1": call(named("torch", "device"), text("cuda"), number(-1)),
    "a size of texts": call(named("torch", "Size"), sequence(text("x"))),
    "a size by a number": call(named("torch", "Size"), number(4)),
    "another codec": call(named("_codecs", "encode"), text("x"), text("zlib_codec")),
    "a text that is not latin": call(named("_codecs", "encode"), text("\u20ac"), text("latin1")),
    "a set of lists": call(named("builtins", "set"), array(b"]")),
    "a set of a number": call(named("builtins", "set"), number(3)),
    "a complex number of texts": call(named("builtins", "complex"), text("1"), text("2")),
    "a complex number too large": call(named("builtins", "complex"), long_number(10**400), real(0)),
    "a counter of a text": call(named("collections", "Counter"), text("abc")),
    "a table of texts": call(named("collections", "OrderedDict"), array(text("ab"))),
    "a table of a number": call(named("collections", "OrderedDict"), number(1)),
    "a table whose state hides its methods": HOOKS + table(items=NONE) + b"b",
    "a table whose state is a class's": HOOKS + table(__class__=named("torch", "Size")) + b"b",
    "a table whose state is a text": HOOKS + text("ab") + b"b",
    "a table with a state of slots": HOOKS + sequence(b"}", table(x=NONE)) + b"b",
    "a state on a tensor": view() + sequence(storage(), number(9), numbers(9), numbers(1)) + b"b",
    "a state on a text": text("x") + b"}b",
    "a state on a device": call(named("torch", "device"), text("cpu")) + b"}b",
    "a key that is a list": b"}]" + NONE + b"s",
    "a key that is a table": b"}}" + NONE + b"s",
    "a key that is a tuple with a list": b"}]\x85" + NONE + b"s",
    "a key without a value": b"}(" + text("k") + b"u",
    "an entry of a list": b"]" + number(0) + NONE + b"s",
    "an item of a table": b"}" + NONE + b"a",
    "an item of a tuple": b")" + NONE + b"a",
    "a new object": named("collections", "OrderedDict") + b")\x81",
    "a set by its opcode": b"\x8f",
    "a copy of the top": b"]2\x86",
    "an extension": b"\x82\x01",
    "a persistent id that is a number": number(1) + b"Q",
    "a persistent id that is a list": array(text("storage")) + b"Q",
    "a persistent id of an unknown type": sequence(
        text("storage"), named("torch", "Size"), text("0"), text("cpu"), number(4)
    )
    + b"Q",
    "a persistent id with a number as key": sequence(
        text("storage"), named("torch", "FloatStorage"), number(0), text("cpu"), number(4)
    )
    + b"Q",
    "a persistent id with a negative count": storage(count=-4),
    "a persistent id with a count that is true": sequence(
        text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), TRUE
    )
    + b"Q",
    "a persistent id with a view": sequence(
        text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(4), NONE
    )
    + b"Q",
    "one storage with two types": sequence(storage(), storage("IntStorage")),
    "one storage with two counts": sequence(storage(), storage(count=3)),
    "a mark left open": b"(" + NONE,
    "two values": NONE + NONE,
    "text that is not UTF-8": b"X\x01\x00\x00\x00\xff",
    "text of Python 2 that is not UTF-8": b"U\x01\xff",
}
