# The CUDA language, where the CUDA kernels are compiled: with the nvcc that scripts/setup --nvcc put under .deps, else
# with the machine's.
if(M3D_CUDA_KERNELS)
  file(GLOB own_nvcc "${CMAKE_SOURCE_DIR}/.deps/nvcc/lib/python3*/site-packages/nvidia/cu13/bin")
  find_program(M3D_NVCC nvcc HINTS ${own_nvcc} PATHS /usr/local/cuda/bin REQUIRED)
  set(CMAKE_CUDA_COMPILER "${M3D_NVCC}")
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # code of sm_80 and sm_90, and PTX for later devices
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # LibTorch's own, below
  enable_language(CUDA)
  if(CCACHE_PROGRAM)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${launcher})
  endif()
endif()
