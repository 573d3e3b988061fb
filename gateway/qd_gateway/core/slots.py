"""Which clients this gateway serves, and how far the control topic was handled for them. Pure.

Clients are dealt to slots by their ids. A slot is not held, or held, or held and parked: about
to be given to another gateway, so that nothing more is handled for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from qd_store.gateway_state.slots import SLOTS, slot_of

__all__ = ["NOTHING_HANDLED", "SLOTS", "Slots", "slot_of"]

NOTHING_HANDLED: Final = -1


@dataclass(slots=True)
class _Slot:
    """A slot that is held. `handled` is the offset of its last handled record."""

    epoch: int
    handled: int
    parked: bool = False


class Slots:
    """The slots that one gateway holds.

    Attributes
    ----------
    others, repeated : int
        Records that were passed over so far: of slots that are not served here, and those
        that had been handled before.
    """

    def __init__(self) -> None:
        self._held: dict[int, _Slot] = {}
        self._position = NOTHING_HANDLED  # offset of the last record that was offered
        self.others = 0
        self.repeated = 0

    def take(self, client_id: int | None, offset: int) -> bool:
        """Whether a record is to be handled here and now; it counts as handled then.

        `client_id` is None for what is no request of anybody: each gateway takes note of it.
        """
        if client_id is None:
            self._position = offset
            return True
        slot = self._held.get(slot_of(client_id))
        self._position = offset
        if slot is None or slot.parked:
            self.others += 1
            return False
        if offset <= slot.handled:
            self.repeated += 1
            return False
        slot.handled = offset
        return True

    def serves(self, client_id: int) -> bool:
        """Whether the client's requests are handled here."""
        slot = self._held.get(slot_of(client_id))
        return slot is not None and not slot.parked

    def holds(self, client_id: int) -> bool:
        """Whether the client is this gateway's, if only for a while."""
        return slot_of(client_id) in self._held

    def epoch_of(self, client_id: int) -> int:
        """The epoch of a client that is served here."""
        return self._held[slot_of(client_id)].epoch

    def hold(self, slots: Iterable[int], epoch: int, handled: Mapping[int, int]) -> None:
        """Hold slots that were not held, from now on.

        `handled` says of slots how far they were handled before; a slot that it does not
        name goes on with the next record that comes.
        """
        self._settle()
        before = self._position
        for slot in slots:
            self._held[slot] = held = _Slot(epoch, handled.get(slot, before))
            # What lies between is offered once more; the other slots have settled.
            self._position = min(self._position, held.handled)

    def park(self, slots: Iterable[int]) -> None:
        """Handle nothing more for slots, but go on holding them."""
        self._settle()
        for slot in slots:
            if slot in self._held:
                self._held[slot].parked = True

    def release(self, slots: Iterable[int]) -> None:
        """Hold slots no longer."""
        for slot in slots:
            self._held.pop(slot, None)

    def restart(self) -> None:
        """The control topic was made anew: its offsets begin again."""
        self._position = NOTHING_HANDLED
        for slot in self._held.values():
            slot.handled = NOTHING_HANDLED

    def handled(self) -> dict[int, int]:
        """For each slot that is held: the offset up to which its records were handled."""
        self._settle()
        return {slot: held.handled for slot, held in self._held.items()}

    def _settle(self) -> None:
        """Note that all that was offered so far was handled for each slot that is served."""
        for slot in self._held.values():
            if not slot.parked:
                slot.handled = max(slot.handled, self._position)
