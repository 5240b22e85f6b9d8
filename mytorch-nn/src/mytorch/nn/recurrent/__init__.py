"""Recurrent layers and their cells, with backpropagation through time written out."""

from mytorch.nn.recurrent.gru import GRU, GRUCell
from mytorch.nn.recurrent.lstm import LSTM, LSTMCell
from mytorch.nn.recurrent.rnn import RNN, RNNCell

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]
