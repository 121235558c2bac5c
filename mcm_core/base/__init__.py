"""The frozen base: any diffusers model behind one interface."""

from mcm_core.base.embeddings import Embeddings as Embeddings
from mcm_core.base.frozen import Base as Base
