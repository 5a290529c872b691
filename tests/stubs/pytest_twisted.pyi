from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Test = TypeVar("_Test", bound=Callable[..., Coroutine[Any, Any, None]])

def ensureDeferred(f: _Test) -> _Test: ...
def async_yield_fixture(f: Callable[_P, AsyncIterator[_T]]) -> Callable[_P, _T]: ...
