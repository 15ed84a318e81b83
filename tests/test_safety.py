"""What the code never does, read from the code: no shell, no pickle, no network unless asked."""

import ast
import re
from pathlib import Path

from maskfold.report.page import render_page

SRC = Path(__file__).parents[1] / "src"
FILES = sorted(SRC.rglob("*.py"))
# Called never, by its dotted name.
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "pickle.load",
    "pickle.loads",
    "pd.read_pickle",
    "joblib.load",
    "yaml.load",
    "yaml.safe_load",
    "yaml.unsafe_load",
    "shelve.open",
    "marshal.loads",
    "tempfile.mktemp",
}
# What a call must be given, word for word.
REQUIRED = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False", "read_array": "allow_pickle=False"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {ast.unparse(word) for word in node.keywords}, node.lineno


def test_no_shell_no_pickle_no_tags():
    assert len(FILES) > 300
    for path in FILES:
        for name, words, line in calls(path):
            assert name not in FORBIDDEN, f"{path}:{line} calls {name}"
            assert "shell=True" not in words, f"{path}:{line} starts a shell"
            for function, word in REQUIRED.items():
                if name == function or name.endswith(f".{function}"):
                    assert word in words, f"{path}:{line} calls {name} without {word}"


def test_the_search_finds_them(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("import os, subprocess\nos.system('x')\nsubprocess.run('x', shell=True)\n")
    found = list(calls(bad))
    assert found[0][0] in FORBIDDEN
    assert "shell=True" in found[1][1]


def test_pages_escape_whatever_is_put_in():
    """Jinja's own escaping is on, and nothing goes around it but the page's own style and script."""
    marked = [(path.name, line) for path in FILES for name, _, line in calls(path) if name.endswith("Markup")]
    assert [name for name, _ in marked] == ["page.py"], "the assets that come with maskfold"
    templates = sorted((SRC / "maskfold/report/templates").glob("*"))
    assert templates
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert "safe" not in re.findall(r"\|\s*(\w+)", text), template
        assert "autoescape" not in text, template
    page = render_page("base.html", title='<script>alert("x")</script>')
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
