# Included by the Makefile beside it: `make test` checks the front end, @front@.h, as well.
test: $(BUILD)/@front@_c99 $(BUILD)/@front@_cpp17

$(BUILD)/@front@_c99: @front@_test.c $(SRC)/@front@.h $(HEADERS) $(BUILD)/model.o
	$(CC) -std=c99 $(WARNINGS) $(CFLAGS) -I $(SRC) @front@_test.c $(BUILD)/model.o $(LDFLAGS) -lm -o $@
	$(RUN) $@

$(BUILD)/@front@_cpp17: @front@_test.c $(SRC)/@front@.h $(HEADERS) $(BUILD)/model.o
	$(CXX) -std=c++17 $(WARNINGS) $(CXXFLAGS) -I $(SRC) -x c++ @front@_test.c -x none $(BUILD)/model.o \
	  $(LDFLAGS) -lm -o $@
	$(RUN) $@
