// Feeds one row of input bits a clock cycle and writes the output port behind every edge. Files are rows of raw bytes,
// each as wide as Verilator stores the port.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "Dut.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    std::FILE* inputs = std::fopen(argv[1], "rb");
    std::FILE* outputs = std::fopen(argv[2], "wb");
    if (!inputs || !outputs) return 3;
    auto context = std::make_unique<VerilatedContext>();
    auto dut = std::make_unique<Dut>(context.get());
    unsigned char in[sizeof(dut->model_inp)], out[sizeof(dut->model_out)];
    while (std::fread(in, sizeof in, 1, inputs) == 1) {
        std::memcpy(static_cast<void*>(&dut->model_inp), in, sizeof in);
        dut->clk = 0;
        dut->eval();
        dut->clk = 1;
        dut->eval();
        std::memcpy(out, static_cast<const void*>(&dut->model_out), sizeof out);
        if (std::fwrite(out, sizeof out, 1, outputs) != 1) return 4;
    }
    dut->final();
    return std::ferror(inputs) || std::fclose(outputs) ? 5 : 0;
}
