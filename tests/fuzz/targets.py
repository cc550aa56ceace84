"""Every target of the fuzz by name."""

from tests.fuzz.addresses import ADDRESSES
from tests.fuzz.cache import CACHE
from tests.fuzz.inputs import INPUTS
from tests.fuzz.kept import KEPT

TARGETS = INPUTS | KEPT | CACHE | ADDRESSES
