deepeval inspect
