"""Sample documents: a structured report, and a PDF."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, EncapsulatedPDFStorage

from dicomweb_cli.sample_headers import new_instance, new_series, new_study

# Of each section the code of its heading and of its text (DCM, PS3.16 annex D), and the text.
_SECTIONS: Final = (
    (("121060", "History"), ("121060", "History"), "None: this patient is synthetic."),
    (
        ("121070", "Findings"),
        ("121071", "Finding"),
        "A nodule in the upper lobe of the right lung. Heart and aorta are normal.",
    ),
    (("121076", "Conclusions"), ("121077", "Conclusion"), "The archive stores and returns structured reports."),
)
_LINES: Final = ("A synthetic document", "", "It was stored in DICOM as an Encapsulated PDF,", "and sent as it is.")


def sr() -> Iterator[Dataset]:
    """The instance of a report in sections of text (Basic Text SR)."""
    series = new_series(new_study("SR", "Radiology report (synthetic)"), "SR", 1, "Report")
    report = new_instance(series, BasicTextSRStorage)
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    _set_container(report, _code("LN", "18748-4", "Diagnostic imaging report"))
    report.ContentSequence = [_section(*section) for section in _SECTIONS]
    yield report


def pdf() -> Iterator[Dataset]:
    """The instance of a document of one page (Encapsulated PDF)."""
    series = new_series(new_study("DOC", "Document (synthetic)"), "DOC", 1, "PDF")
    document = new_instance(series, EncapsulatedPDFStorage)
    document.ConversionType, document.BurnedInAnnotation = "SYN", "NO"
    document.AcquisitionDateTime, document.DocumentTitle = "", "A synthetic document"
    document.ConceptNameCodeSequence = []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    page = _page(_LINES)
    document.EncapsulatedDocument = page + b"\n" * (len(page) % 2)
    document.EncapsulatedDocumentLength = len(page)
    yield document


def _code(scheme: str, value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _set_container(item: Dataset, name: Dataset) -> None:
    item.ValueType, item.ContinuityOfContent, item.ConceptNameCodeSequence = "CONTAINER", "SEPARATE", [name]


def _section(heading: tuple[str, str], name: tuple[str, str], text: str) -> Dataset:
    """A heading of the report, and a text below it."""
    section, paragraph = Dataset(), Dataset()
    section.RelationshipType = paragraph.RelationshipType = "CONTAINS"
    _set_container(section, _code("DCM", *heading))
    section.ContentSequence = [paragraph]
    paragraph.ValueType, paragraph.TextValue = "TEXT", text
    paragraph.ConceptNameCodeSequence = [_code("DCM", *name)]
    return section


def _page(lines: tuple[str, ...]) -> bytes:
    """A PDF of one page of text, which holds no parentheses or backslashes."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    text = f"BT /F1 20 Tf 28 TL 72 720 Td {shown} ET"
    fonts = "<< /Font << /F1 5 0 R >> >>"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources {fonts} >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    page, table = "%PDF-1.4\n", "0000000000 65535 f \n"
    for number, one in enumerate(objects, 1):
        table += f"{len(page):010} 00000 n \n"
        page += f"{number} 0 obj\n{one}\nendobj\n"
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(page)}\n%%EOF\n"
    return f"{page}xref\n0 {size}\n{table}{trailer}".encode()
