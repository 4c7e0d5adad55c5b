"""Without a Bicep compiler the tests of what infra/ makes are left out, and one line says so: test_compiler.py's."""

from tests.support.bicep_compiler import find_compiler

# Each imports what the compiler makes, or asks it.
collect_ignore = (
    []
    if find_compiler()
    else [
        "test_alerts.py",
        "test_choices.py",
        "test_deployed_alerts.py",
        "test_deployed_app.py",
        "test_documents.py",
        "test_order.py",
        "test_parameters.py",
        "test_private_network.py",
        "test_template.py",
    ]
)
