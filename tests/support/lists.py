"""Items of every kind for the lists of the surface, made up out of one real document of each kind."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, get_args, get_type_hints

from functions.http.endpoint import Endpoint
from functions.http.lists import ListingQuery
from shared.domain.kernel.filters import AllOf, AnyOf, Compare, Filter, Not, Operator
from shared.domain.kernel.filters import Field as Filterable
from shared.domain.kernel.ids import child_id, root_id
from shared.domain.kernel.record import Entity
from shared.ports.index import Index
from shared.ports.store import Document, Write
from shared.services.listing import Listing, read_time
from tests.support.api import Api
from tests.support.app import START

TENANT = "acme"
ENVIRONMENTS = ("dev", "test", "staging", "prod")
"""The only names that an environment can have."""

type Json = dict[str, Any]


@dataclass
class Listed:
    """One list of the surface with what can be put into it."""

    endpoint: Endpoint
    api: Api
    path: str
    template: Document
    chance: random.Random
    made: int = 0
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    """By id, the word that each field with words has to be shown by."""

    @property
    def listing(self) -> Listing:
        return query_of(self.endpoint).LISTING

    @property
    def record(self) -> type[Entity]:
        found: type[Entity] = get_args(self.endpoint.result)[0]
        return found

    @property
    def bound(self) -> frozenset[str]:
        """Stored names that the path binds."""
        return frozenset(param.argument.removesuffix("_id") for param in self.endpoint.params)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Fields of the list that have a query parameter of their own."""
        model = query_of(self.endpoint).model_fields
        names = [known.alias or name for name, known in model.items()]
        return tuple(name for name in names if name in self.listing.fields)

    @property
    def indexes(self) -> list[Index]:
        return [index for index in self.listing.indexes if index.kind == self.listing.kind]

    async def add(self, count: int) -> None:
        """Put new items into the store. Times, numbers and names have ties."""
        for _ in range(count):
            self.made += 1
            seed = f"made-{self.made}"
            is_root = self.record.__record__.root == self.record.__record__.kind
            name = (
                root_id(self.listing.kind, TENANT, seed)
                if is_root
                else child_id(self.template.body["id"], self.listing.kind, seed)
            )
            body = {**self.template.body, "id": name}
            self.words[name] = {}
            for wire, known in self.listing.fields.items():
                if known.words is not None:
                    self.words[name][wire] = self._word(known.words, body)
                elif known.stored not in self.bound:
                    body[known.stored] = self._value(known)
            kind = self.record.__record__
            partition = self.api.app.store.open(TENANT).partition(kind.root_of(name))
            await partition.commit([Write("create", kind.document(name), kind.kind, body)])

    def _word(self, words: Mapping[str, Filter], body: Json) -> str:
        body |= self._defaults(words)
        word = self.chance.choice(list(words))
        self._satisfy(words[word], body)
        return word

    def _defaults(self, words: Mapping[str, Filter]) -> Json:
        """Of all that the words look at, so that nothing of another word is left."""
        defaults = {each.name: each.default for each in fields(self.record)}  # type: ignore[arg-type]
        touched = {leaf.field for meant in words.values() for leaf in _leaves(meant)}
        return {name: defaults[name] for name in touched if defaults[name] in (None, False, "")}

    @property
    def plain(self) -> Json:
        """The template in a state that its stored status alone tells."""
        known = self.listing.fields.values()
        defaults = [self._defaults(each.words) for each in known if each.words is not None]
        return self.template.body | {name: value for each in defaults for name, value in each.items()}

    def _satisfy(self, meant: Filter, body: Json) -> None:
        match meant:
            case AllOf(filters):
                for one in filters:
                    self._satisfy(one, body)
            case AnyOf(filters):
                self._satisfy(self.chance.choice(filters), body)
            case Compare(name, Operator.EQ, value):
                body[name] = value
            case Compare(name, Operator.EXISTS, True):
                body[name] = "0" * 32
            case Not(_):
                pass  # so are the defaults
            case _:
                raise AssertionError(f"nobody has said how to satisfy {meant}")

    def _value(self, known: Filterable) -> Any:
        hint = get_type_hints(self.record)[known.stored]
        kinds = set(get_args(hint)) or {hint}
        if known.read is read_time:
            return read_time((START + timedelta(seconds=self.chance.randrange(6))).isoformat())
        if known.stored in ("environment_name", "source_environment"):
            return self.chance.choice(ENVIRONMENTS)
        if known.read is not None:
            values: list[Any] = [self.template.body[known.stored], "ab" * 16, "cd" * 16]
        elif bool in kinds:
            values = [True, False]
        elif int in kinds:
            values = [1, 2, 3, 10]
        else:
            values = [f"{known.stored}-{one}" for one in ("a", "B", "c")]
        if type(None) in kinds:
            values.append(None)
        return self.chance.choice(values)


def query_of(endpoint: Endpoint) -> type[ListingQuery]:
    assert endpoint.query is not None
    assert issubclass(endpoint.query, ListingQuery)
    return endpoint.query


def _leaves(meant: Filter) -> Iterator[Compare]:
    match meant:
        case Compare():
            yield meant
        case AllOf(filters) | AnyOf(filters):
            for one in filters:
                yield from _leaves(one)
        case Not(one):
            yield from _leaves(one)


def template_of(documents: Iterable[Document], listing: Listing, bound: Mapping[str, str]) -> Document:
    """A document of the list's kind that lies below what the path binds."""
    return next(
        document
        for document in documents
        if document.kind == listing.kind
        and document.tenant == TENANT
        and all(document.body[name] == value for name, value in bound.items())
    )
