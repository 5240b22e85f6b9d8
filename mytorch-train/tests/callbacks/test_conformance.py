"""The callbacks of this distribution keep the contract: their state decides how a resumed run goes on."""

from mytorch.testing import declare_callback
from mytorch.train import EMA, SWA, EarlyStopping, KeepBest
from mytorch.train.trackers import CSVLogger, JSONLinesLogger

test_ema = declare_callback(lambda: EMA(0.9))
test_ema_of_buffers = declare_callback(lambda: EMA(0.9, use_buffers=True), seed=1)
test_swa = declare_callback(lambda: SWA(0.5))
test_early_stopping = declare_callback(lambda: EarlyStopping(patience=2))
test_early_stopping_of_the_test_part = declare_callback(lambda: EarlyStopping("test_loss", patience=1), seed=1)
test_keep_best = declare_callback(KeepBest)
test_keep_best_of_training = declare_callback(lambda: KeepBest("train_loss"), seed=1)
test_csv = declare_callback(CSVLogger)
test_json_lines = declare_callback(lambda: JSONLinesLogger(every=2))
