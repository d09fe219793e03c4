# Everything that is not ours. LibTorch is the PyPI wheel under ${M3D_DEPS}/venv (scripts/setup puts it there).
# find_package(Torch) is not used: it asks for a whole CUDA toolkit even when only the CPU library is linked.
find_package(Threads REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(ZLIB REQUIRED)
find_package(ITK REQUIRED COMPONENTS 
  ITKCommon ITKVNL ITKIOImageBase ITKIONIFTI ITKIOMeta ITKIONRRD ITKIOGIPL ITKIOGDCM)
add_library(m3d_itk INTERFACE)
target_include_directories(m3d_itk SYSTEM INTERFACE ${ITK_INCLUDE_DIRS})
target_link_libraries(m3d_itk INTERFACE ${ITK_LIBRARIES})

if(M3D_FUZZ)
  return()  # no fuzz target needs what follows
endif()
find_package(OpenMP REQUIRED)
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)

file(GLOB site_packages "${M3D_DEPS}/venv/lib/python3*/site-packages")
find_path(TORCH_ROOT lib/libtorch_cpu.so PATHS "${site_packages}/torch" NO_DEFAULT_PATH)
if(NOT TORCH_ROOT)
  message(FATAL_ERROR "LibTorch is not under ${M3D_DEPS}: run scripts/setup first")
endif()
foreach(name c10 torch_cpu torch c10_cuda torch_cuda)
  add_library(${name} SHARED IMPORTED)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${TORCH_ROOT}/lib/lib${name}.so")
endforeach()
add_library(m3d_torch INTERFACE)
target_include_directories(m3d_torch SYSTEM INTERFACE
  "${TORCH_ROOT}/include" "${TORCH_ROOT}/include/torch/csrc/api/include")
target_compile_definitions(m3d_torch INTERFACE FMT_HEADER_ONLY)
# OpenMP: at::parallel_for is a template whose loop is compiled here. libgomp has one soname, so that
# the copy beside libtorch (first on the run path) serves both.
target_link_libraries(m3d_torch INTERFACE torch_cpu c10 OpenMP::OpenMP_CXX)
file(GLOB cuda_wheels "${site_packages}/nvidia/cu13")
# The headers and the run-time library that LibTorch's CUDA side was built with.
add_library(m3d_cuda_runtime INTERFACE)
target_include_directories(m3d_cuda_runtime SYSTEM INTERFACE "${cuda_wheels}/include")
target_link_libraries(m3d_cuda_runtime INTERFACE torch_cuda c10_cuda "${cuda_wheels}/lib/libcudart.so.13")
if(M3D_CUDA)
  target_link_libraries(m3d_torch INTERFACE torch m3d_cuda_runtime)
  target_compile_definitions(m3d_torch INTERFACE M3D_CUDA=1)
  target_link_options(m3d_torch INTERFACE "LINKER:--no-as-needed,${TORCH_ROOT}/lib/libtorch_cuda.so,--as-needed")
endif()
target_link_options(m3d_torch INTERFACE "LINKER:--allow-shlib-undefined")

# C-Blosc2 comes out of the blosc2 wheel, beside LibTorch.
find_path(BLOSC2_ROOT include/b2nd.h PATHS "${site_packages}/blosc2" NO_DEFAULT_PATH)
if(NOT BLOSC2_ROOT)
  message(FATAL_ERROR "C-Blosc2 is not under ${M3D_DEPS}: run scripts/setup first")
endif()
add_library(m3d_blosc2 SHARED IMPORTED)
set_target_properties(m3d_blosc2 PROPERTIES IMPORTED_LOCATION "${BLOSC2_ROOT}/lib/libblosc2.so"
  IMPORTED_SONAME libblosc2.so.9)
target_include_directories(m3d_blosc2 SYSTEM INTERFACE "${BLOSC2_ROOT}/include")

find_path(NVTX3_INCLUDE_DIR nvtx3/nvtx3.hpp
  PATHS "${site_packages}/nvidia/cu13/include" "${site_packages}/nvidia/nvtx/include")
if(NOT NVTX3_INCLUDE_DIR)
  message(FATAL_ERROR "The NVTX headers are not under ${M3D_DEPS}: run scripts/setup first")
endif()
add_library(m3d_nvtx INTERFACE)
target_include_directories(m3d_nvtx SYSTEM INTERFACE "${NVTX3_INCLUDE_DIR}")
target_link_libraries(m3d_nvtx INTERFACE ${CMAKE_DL_LIBS})

add_library(m3d_cli11 INTERFACE)
target_include_directories(m3d_cli11 SYSTEM INTERFACE "${CLI11_INCLUDE_DIR}")
