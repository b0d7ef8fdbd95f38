"""Faults: rules for what fails in the sandbox, and the places where they take effect."""

from .file import add as add
from .file import clear as clear
from .file import hits as hits
from .file import read as read
from .rules import CommandDelay as CommandDelay
from .rules import CommandExit as CommandExit
from .rules import CommandFault as CommandFault
from .rules import CommandReset as CommandReset
from .rules import CommandStall as CommandStall
from .rules import ConnectionFault as ConnectionFault
from .rules import Delay as Delay
from .rules import FailedOperation as FailedOperation
from .rules import Fault as Fault
from .rules import FaultError as FaultError
from .rules import Hide as Hide
from .rules import HttpFault as HttpFault
from .rules import InvertedByte as InvertedByte
from .rules import OperatingSystemFault as OperatingSystemFault
from .rules import RequestFault as RequestFault
from .rules import Reset as Reset
from .rules import Stall as Stall
from .rules import Status as Status
from .rules import StuckOperation as StuckOperation
from .rules import TruncatedBody as TruncatedBody
from .rules import from_options as from_options
