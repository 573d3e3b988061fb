"""Everything that causal models and their data can complain about.

::

    AnalyticsError(QdError)
     ├─ ModelError               a causaloid, graph or context that cannot be built as asked
     │   ├─ UnknownNode          a node that is not there
     │   ├─ DuplicateNode        a node that is there already
     │   ├─ CycleError           an edge that would close a circle
     │   ├─ EmptyCollection      nothing to reason over
     │   ├─ NotAGraph            a question about a graph, asked of something else
     │   ├─ NoPath               two nodes that no edges join
     │   ├─ UnreachableNode      a node that no edges lead to
     │   ├─ MissingData          a rule reads what neither data nor contexts will have
     │   ├─ GraphTextError       a text that is no graph
     │   ├─ UnknownFunction      a rule's function that no registry knows
     │   ├─ DuplicateFunction    a name that another function has
     │   ├─ SavedModelError      saved data that are no model, or of a later version
     │   ├─ TooLargeToDraw       a picture that nobody could read
     │   └─ NoDrawing            no drawing library is installed
     ├─ EvaluationError          a rule or its data failed; the record says where
     │   ├─ NotEvaluated         an answer was asked for where there is none
     │   └─ RelayBudgetExhausted rules relay to each other without end
     └─ DataShapeError           columns that do not fit together
"""

from __future__ import annotations

from qd_schemas.errors import QdError


class AnalyticsError(QdError):
    """Root of this package's errors."""


class ModelError(AnalyticsError):
    """A causaloid, graph or context that cannot be built as asked."""


class UnknownNode(ModelError):
    """A node that is not there."""


class DuplicateNode(ModelError):
    """A node that is there already."""


class CycleError(ModelError):
    """An edge that would close a circle."""


class EmptyCollection(ModelError):
    """Nothing to reason over."""


class NotAGraph(ModelError):
    """A question about a graph's nodes, asked of something that has none."""


class NoPath(ModelError):
    """Two nodes that no edges join."""


class UnreachableNode(ModelError):
    """A node that no edges lead to."""


class MissingData(ModelError):
    """A rule reads what neither the data nor the contexts will have."""


class GraphTextError(ModelError):
    """A text that is no graph; the message says where."""


class UnknownFunction(ModelError):
    """A rule's function that the registry does not know."""


class DuplicateFunction(ModelError):
    """A name that another function has."""


class SavedModelError(ModelError):
    """Saved data that are no model, or of a later version."""


class TooLargeToDraw(ModelError):
    """A picture that nobody could read."""


class NoDrawing(ModelError):
    """Pictures are not to be had here."""


class EvaluationError(AnalyticsError):
    """A rule or its data failed; the message names the node."""


class NotEvaluated(EvaluationError):
    """An answer was asked for where there is none; the message gives the reason."""


class RelayBudgetExhausted(EvaluationError):
    """Rules relayed to each other more often than allowed."""


class DataShapeError(AnalyticsError):
    """Columns that do not fit together."""
