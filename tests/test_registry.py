"""Plugins are found by their entry points, imported when chosen, and refused with a message."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest

from lifecycle import registry
from lifecycle.config.compose import compose
from lifecycle.config.resolve import resolve
from lifecycle.data.kinds.table import Table
from lifecycle.errors import RequestError
from lifecycle.plugins.mlp import MLP
from tests.packages import HEAD, Site, fresh_site

site = pytest.fixture(fresh_site, name="site")


def test_the_built_in_plugins_are_declared_by_entry_points() -> None:
    declared = {entry.name for entry in metadata.entry_points(group="lifecycle.models")}
    assert {"mlp", "cnn", "lstm"} <= declared
    assert declared == set(registry.plugins("model"))
    assert {"table", "images", "series"} <= set(registry.plugins("data"))


def test_an_installed_package_adds_a_plugin_under_its_entry_point_name(site: Site) -> None:
    site.install("acme", {"my_net": "Net"}, version="0.3")
    assert registry.plugins("model")["my_net"].source == "acme 0.3"
    assert registry.load("model", "my_net").__name__ == "Net"


@pytest.mark.parametrize("written", ["", "in full"])
def test_of_the_working_folder_only_the_packages_are_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(site.folder)
    monkeypatch.setattr(sys, "path", [written and str(site.folder), *sys.path[1:]])
    before = registry.search_path_state()
    (site.folder / "mlruns").mkdir()
    assert registry.search_path_state() == before
    site.install("acme", {"my_net": "Net"}, version="0.3")
    assert registry.plugins("model")["my_net"].source == "acme 0.3"
    state = registry.search_path_state()
    (site.folder / "acme-0.3.dist-info" / "direct_url.json").touch()  # as of a package that is installed anew
    assert before != registry.search_path_state() != state


def test_names_are_listed_sorted(site: Site) -> None:
    site.install("acme", {"zz": "Net", "aa": "Net"})
    assert list(registry.plugins("model")) == ["aa", "cnn", "lstm", "mlp", "sequential", "zz"]


def test_listing_imports_no_plugin(site: Site) -> None:
    module = site.install("acme", {"my_net": "Net"})
    assert "my_net" in registry.plugins("model")
    assert module not in sys.modules


def test_choosing_one_plugin_imports_no_other(site: Site) -> None:
    chosen = site.install("acme", {"my_net": "Net"})
    other = site.install("other", {"your_net": "Net"})
    registry.load("model", "my_net")
    assert chosen in sys.modules
    assert other not in sys.modules


def test_a_class_is_loaded_once_and_known_by_its_name() -> None:
    cls = registry.load("model", "mlp")
    assert cls is MLP
    assert registry.load("model", "mlp") is cls
    assert registry.name_of("model", cls) == "mlp"
    assert registry.name_of("data", registry.load("data", "table")) == "table"
    assert registry.load("data", "table") is Table


def test_a_plugin_that_cannot_be_imported_is_named_with_package_cause_and_remedy(site: Site) -> None:
    site.install("acme-nets", {"broken": "Net"}, code="import nowhere_to_be_found\n", version="2.7")
    message = (
        "model=broken from acme-nets 2.7 could not be imported: "
        "ModuleNotFoundError: No module named 'nowhere_to_be_found'. Reinstall or remove it."
    )
    with pytest.raises(RequestError, match=f"^{re.escape(message)}$") as caught:
        registry.load("model", "broken")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "AttributeError: module .* has no attribute 'Net'"),
    ],
)
def test_any_exception_of_an_import_is_reported(site: Site, code: str, cause: str) -> None:
    site.install("acme", {"broken": "Net"}, code=code)
    with pytest.raises(
        RequestError, match=rf"^model=broken from acme 1\.0 could not be imported: {cause}.*Reinstall or remove it\.$"
    ):
        registry.load("model", "broken")


def test_a_module_that_exits_while_it_is_imported_is_refused_too(site: Site) -> None:
    site.install("acme", {"broken": "Net"}, code="import sys\nsys.exit(3)\n")
    try:
        with pytest.raises(RequestError, match=r"model=broken from acme 1\.0 could not be imported: SystemExit: 3"):
            registry.load("model", "broken")
    except SystemExit:
        pytest.fail("the plugin's sys.exit() went through")


def test_a_broken_plugin_harms_nobody_who_did_not_choose_it(site: Site) -> None:
    site.install("bad", {"broken": "Net"}, code="raise RuntimeError('boom')\n")
    site.install("acme", {"my_net": "Net"})
    assert registry.load("model", "mlp") is MLP
    assert registry.load("model", "my_net").__name__ == "Net"
    assert "broken" in registry.plugins("model")


def test_a_broken_plugin_is_not_kept_as_loaded(site: Site) -> None:
    site.install("bad", {"broken": "Net"}, code="raise RuntimeError('boom')\n")
    for _ in range(2):
        with pytest.raises(RequestError, match="boom"):
            registry.load("model", "broken")


def test_two_packages_with_the_same_name_are_refused_and_both_are_named(site: Site) -> None:
    site.install("acme", {"my_net": "Net"}, version="0.3")
    site.install("bolt", {"my_net": "Net"}, version="4.0")
    with pytest.raises(
        RequestError,
        match=r"^model=my_net is declared by two packages, "
        r"(acme 0\.3 and bolt 4\.0|bolt 4\.0 and acme 0\.3)\. Uninstall one of them\.$",
    ):
        registry.load("model", "my_net")


def test_the_same_name_for_a_model_and_for_data_is_no_clash(site: Site) -> None:
    site.install("acme", {"table": "Net"})
    assert registry.load("model", "table").__name__ == "Net"
    assert registry.load("data", "table") is Table


def test_two_names_for_one_class_keep_their_own_names(site: Site) -> None:
    site.install("acme", {"first": "Net", "second": "Net"})
    assert [resolve(compose([f"model={name}"])).model_name for name in ("first", "second")] == ["first", "second"]


FAULTS = {
    "a function": ("def Net(): ...\n", r"<function Net at .*> is not a dataclass"),
    "a plain class": ("class Net:\n    def build(self, spec): ...\n", r"<class '.*Net'> is not a dataclass"),
    "an instance": (f"{HEAD}@dataclass\nclass A:\n    x: int = 1\nNet = A()\n", r"A\(x=1\) is not a dataclass"),
    "frozen": (
        f"{HEAD}@dataclass(frozen=True)\nclass Net:\n    def build(self, spec): ...\n",
        "the dataclass is frozen, which OmegaConf would carry over to every override",
    ),
    "no verb": (f"{HEAD}@dataclass\nclass Net:\n    x: int = 1\n", r"it has no build\(\)"),
    "a verb that is no method": (f"{HEAD}@dataclass\nclass Net:\n    build: int = 1\n", r"it has no build\(\)"),
    "a field of an unsupported type": (
        f"{HEAD}@dataclass\nclass Net:\n    x: set[int] = None\n    def build(self, spec): ...\n",
        "its fields cannot be configured: .*set",
    ),
    "a Literal field": (
        f"{HEAD}from typing import Literal\n@dataclass\nclass Net:\n"
        "    x: Literal['a'] = 'a'\n    def build(self, spec): ...\n",
        "its fields cannot be configured: .*Literal",
    ),
}


@pytest.mark.parametrize(("code", "fault"), FAULTS.values(), ids=list(FAULTS))
def test_what_is_no_plugin_is_refused_with_the_reason(site: Site, code: str, fault: str) -> None:
    site.install("acme", {"odd": "Net"}, code=code, version="0.9")
    with pytest.raises(
        RequestError, match=rf"^model=odd from acme 0\.9 is no model plugin: {fault}.*\. Update or remove it\.$"
    ):
        registry.load("model", "odd")


def test_a_field_of_an_unknown_type_name_is_refused_with_the_reason(site: Site) -> None:
    code = f"{HEAD}@dataclass\nclass Net:\n    x: Nowhere = None\n    def build(self, spec): ...\n"
    site.install("acme", {"odd": "Net"}, code=code)
    with pytest.raises(RequestError, match=r"model=odd from acme 1\.0 is no model plugin: .*Nowhere"):
        registry.load("model", "odd")


def test_a_data_plugin_must_have_all_methods(site: Site) -> None:
    code = f"{HEAD}@dataclass\nclass Rows:\n    def read(self): ...\n    def split(self, samples, task, seed): ...\n"
    site.install("acme", {"rows": "Rows"}, code=code, group="lifecycle.data")
    with pytest.raises(
        RequestError,
        match=r"data=rows from acme 1\.0 is no data plugin: it has no describe_target, columns, samples, learn, apply, "
        r"feature_names\(\)\. Update or remove it\.",
    ):
        registry.load("data", "rows")


def test_a_plugin_that_is_not_installed_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(
        RequestError,
        match=r"^model=mpl is not installed\. Did you mean mlp\? Installed: cnn, lstm, mlp, sequential\.$",
    ):
        registry.load("model", "mpl")


def test_a_name_near_to_none_gets_the_list_alone() -> None:
    with pytest.raises(
        RequestError, match=r"^data=parabola is not installed\. Installed: array, images, series, table\.$"
    ):
        registry.load("data", "parabola")


def test_an_entry_point_without_a_package_is_named_by_its_value() -> None:
    entry = metadata.EntryPoint(name="odd", value="nowhere.at_all:Net", group="lifecycle.models")
    with pytest.raises(
        RequestError, match=r"model=odd from nowhere\.at_all:Net could not be imported: ModuleNotFoundError"
    ):
        registry.Plugin("model", "odd", (entry,)).load()


def test_the_table_of_plugins_lists_those_after_a_broken_one(site: Site) -> None:
    site.install("bad", {"broken": "Net"}, code="raise RuntimeError('boom')\n", version="6.6")
    ended = subprocess.run(
        [sys.executable, "-m", "lifecycle", "plugins"],
        env={"PYTHONPATH": str(site.folder), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "A multilayer perceptron, for samples of any shape." in ended.stdout
    assert "broken: model=broken from bad 6.6 could not be imported: RuntimeError: boom." in ended.stdout
