"""The frozen base: any diffusers model behind one interface."""

from mcm_core.base.frozen import Base as Base
from mcm_core.base.frozen import Embeddings as Embeddings
