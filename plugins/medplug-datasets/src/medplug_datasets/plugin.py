"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl

_READERS = (
    ("isic2019", "isic2019:Isic2019", "ISIC 2019: eight skin lesions in dermatoscopy", ("groups", "metadata")),
    ("hyperkvasir_upper", "hyperkvasir:HyperKvasirUpper", "HyperKvasir: three landmarks of the upper GI tract", ()),
    ("hyperkvasir_lower", "hyperkvasir:HyperKvasirLower", "HyperKvasir: three landmarks of the lower GI tract", ()),
    ("idc", "idc:Idc", "breast histopathology: patches with and without invasive ductal carcinoma", ("groups",)),
    ("brain_mri", "brain_mri:BrainMri", "Nickparvar's brain MRI: three tumours and none", ()),
    ("chest_xray", "chest_xray:ChestXray", "Kermany's chest X-rays of children: pneumonia and normal",
     ("groups", "metadata")),
    ("hust19_ct", "hust19_ct:Hust19Ct", "HUST-19: CT slices with, without and beside signs of COVID-19", ()),
    ("busi", "busi:Busi", "BUSI: breast ultrasound, its masks left out", ()),
    ("rfmid", "rfmid:Rfmid", "RFMiD: up to 45 findings in fundus photographs", ("multilabel",)),
    ("medmnist", "medmnist:MedMnist", "MedMNIST and MedMNIST+: 18 small sets, downloaded by name",
     ("multilabel", "ordinal", "3d", "download")),
)  # fmt: skip


@hookimpl
def medplug_components() -> Iterator[Component]:
    """One reader for each data set."""
    for name, target, summary, tags in _READERS:
        yield Component("reader", name, f"medplug_datasets.{target}", summary, tags=("dataset", *tags))
