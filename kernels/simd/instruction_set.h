#pragma once
// The inner loops of the operators are compiled once for each instruction set, from the same source; the best one
// that the processor has is taken at run time. No torch here: these files compile in a second, with their own flags.

namespace m3d {

enum class InstructionSet { portable, avx2, avx512 };

/// The best one that this processor runs.
InstructionSet best_instruction_set();

/// The one in use: the best, unless a test or a benchmark asked for another.
InstructionSet instruction_set();
/// Not while an operator runs. One that the processor lacks is replaced by the best.
void use_instruction_set(InstructionSet wanted);

}  // namespace m3d
