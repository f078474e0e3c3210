"""Files with jets read, trees written; knows nothing of codecs."""
