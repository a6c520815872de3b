"""Rules of the house that no linter knows: each walks our own sources and names every place that breaks it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
SECRETS = ("proof", "token", "signature", "mac", "digest", "stored_key", "server_key")


def sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Every Python file under `folders` of the tree, as its path and its syntax."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def _last_name(node: ast.expr) -> str:
    """`self.proof` and `proof` are both `proof`; anything else has no name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def never_awaited(tree: ast.Module) -> list[int]:
    """Lines of `async def test_...` in a class that is, by its bases in this file, a SynchronousTestCase."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}

    def synchronous(node: ast.ClassDef) -> bool:
        names = [_last_name(base) for base in node.bases]
        return any(
            name == "SynchronousTestCase" or (name in classes and name != node.name and synchronous(classes[name]))
            for name in names
        )

    return [
        item.lineno
        for node in classes.values()
        if synchronous(node)
        for item in node.body
        if isinstance(item, ast.AsyncFunctionDef) and item.name.startswith("test")
    ]


def _is_secret(node: ast.expr) -> bool:
    name = _last_name(node).lower().lstrip("_")
    return any(name == word or name.endswith(f"_{word}") for word in SECRETS)


def compared_secrets(tree: ast.Module) -> list[int]:
    """Lines where `==` or `!=` looks at something that is named like a secret."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(_is_secret(operand) for operand in (node.left, *node.comparators))
    ]


def reactor_imports(tree: ast.AST) -> list[int]:
    """Lines that import the global reactor."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(alias.name == "twisted.internet.reactor" for alias in node.names))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "twisted.internet"
            and any(alias.name == "reactor" for alias in node.names)
        )
    ]


def module_level(tree: ast.Module) -> ast.Module:
    """The module without the bodies of its functions: what runs on import."""

    class _Cut(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

    cut: ast.Module = _Cut().visit(copy.deepcopy(tree))
    return cut


class AsyncTestsTests(SynchronousTestCase):
    """A test that is never awaited passes whatever it says."""

    def test_no_async_test_is_left_unawaited(self) -> None:
        """No SynchronousTestCase has an `async def test_...`: trial would report it as passed without running it."""
        found = [f"{path}:{line}" for path, tree in sources("tests") for line in never_awaited(tree)]
        self.assertEqual(found, [], "Use self.successResultOf(Deferred.fromCoroutine(...)) in these tests.")

    def test_the_check_finds_direct_and_inherited_cases(self) -> None:
        """Direct, dotted and inherited test cases are seen; a plain TestCase may be asynchronous."""
        tree = ast.parse(
            "class A(SynchronousTestCase):\n async def test_a(self): ...\n"
            "class B(unittest.SynchronousTestCase):\n async def test_b(self): ...\n"
            "class C(Mixin, A):\n async def test_c(self): ...\n"
            "class D(TestCase):\n async def test_d(self): ...\n"
            "class E(A):\n async def helper(self): ...\n def test_e(self): ...\n"
        )
        self.assertEqual(never_awaited(tree), [2, 4, 6])


class SecretsTests(SynchronousTestCase):
    """Secrets are compared in constant time."""

    def test_secrets_are_compared_by_compare_digest(self) -> None:
        """Nothing named like a proof, token, signature or key is compared with `==`: its time tells how much agrees."""
        found = [f"{path}:{line}" for path, tree in sources("xmppfed") for line in compared_secrets(tree)]
        self.assertEqual(found, [], "Use hmac.compare_digest here.")

    def test_the_check_finds_either_side_and_attributes(self) -> None:
        """Names, attributes and suffixes count on either side of `==` and `!=`; other names and `is` do not."""
        tree = ast.parse(
            "proof == x\nx != self.server_signature\nkeys.stored_key == y\nkind == 'proof'\ntoken is None\nstomach == 1\n"
        )
        self.assertEqual(compared_secrets(tree), [1, 2, 3])


class ReactorTests(SynchronousTestCase):
    """Whoever keeps time or connects is handed the reactor."""

    def test_only_tap_imports_the_reactor(self) -> None:
        """The global reactor is imported in tap.py alone, and there inside a function."""
        found = [
            f"{path}:{line}"
            for path, tree in sources("xmppfed")
            for line in reactor_imports(module_level(tree) if path == "xmppfed/tap.py" else tree)
        ]
        self.assertEqual(found, [], "Take the reactor as an argument.")

    def test_the_check_tells_import_time_from_run_time(self) -> None:
        """Both ways to import it are seen, and inside a function it does not run on import."""
        tree = ast.parse("import twisted.internet.reactor\ndef f():\n from twisted.internet import reactor, defer\n")
        self.assertEqual(reactor_imports(tree), [1, 3])
        self.assertEqual(reactor_imports(module_level(tree)), [1])


class PackagingTests(SynchronousTestCase):
    """What would break an installation without any other test noticing."""

    def test_the_plugin_folder_is_no_package(self) -> None:
        """An `__init__.py` under `twisted/` would overwrite Twisted's own."""
        self.assertEqual([str(path) for path in (ROOT / "twisted").rglob("__init__.py")], [])

    def test_types_are_shipped(self) -> None:
        """`py.typed` stands in the package, so that users' type checkers read our annotations (PEP 561)."""
        self.assertTrue((ROOT / "xmppfed" / "py.typed").exists())


class InteropTests(SynchronousTestCase):
    """Real sockets stay out of `make test`."""

    def test_trial_finds_nothing_in_interop(self) -> None:
        """No module in tests/interop is named `test_*`: trial would run it with the rest, against real sockets."""
        self.assertEqual([str(path) for path in (ROOT / "tests" / "interop").rglob("test_*.py")], [])

    def test_no_sleep(self) -> None:
        """No test sleeps: time is a Clock. (tests/interop waits for real processes, on conditions.)"""
        found = [
            f"{path}:{node.lineno}"
            for path, tree in sources("tests")
            if not path.startswith("tests/interop/")
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and _last_name(node.func) == "sleep"
        ]
        self.assertEqual(found, [])
