"""The version of the service and of its command line, by Semantic Versioning; CHANGELOG.md says what each brought."""

VERSION = "0.1.0"
