# driver.sh ZIG TARGET TOOL ARGUMENT...: one of zig's tools as CMake knows compilers. zig takes the processor as
# -mcpu and refuses GNU's -march=armvX.Y-a+…, -mfpu and -mfp16-format: these become features of -mcpu here.
zig=$1 target=$2 tool=$3
shift 3
case $tool in cc | c++) ;; *) exec "$zig" "$tool" "$@" ;; esac

features= half=
for word in "$@"; do
  shift
  case $word in
    -march=armv*)
      rest=${word#-march=armv}
      version=${rest%%-a*}
      case $rest in *+*) extensions=+${rest#*+} ;; *) extensions= ;; esac
      # 32-bit ARM's v7-a is zig's v7a, 64-bit's 8.2-a is its v8_2a.
      features=$features+v$(echo "$version" | tr . _)a
      old_ifs=$IFS IFS=+
      for name in $extensions; do
        case $name in
          '') ;;
          fp16) features=$features+fullfp16 half=1 ;;
          fp16fml) features=$features+fp16fml+fullfp16 half=1 ;;
          crypto) features=$features+aes+sha2 ;;
          simd) features=$features+neon ;;
          *) features=$features+$name ;;
        esac
      done
      IFS=$old_ifs ;;
    -march=x86-64*) features=$word ;;
    -mfpu=neon-vfpv4) features=$features+neon+vfp4 ;;
    -mfpu=neon) features=$features+neon ;;
    -mfpu=* | -mfloat-abi=hard | -mfp16-format=*) ;;
    *) set -- "$@" "$word" ;;
  esac
done
# Assembly is told its architecture in its own words: clang does not take it from -mcpu.
for word in "$@"; do
  case $word in *.S) [ -n "$half" ] && set -- "$@" -include "$(dirname "$0")/half.inc" && break ;; esac
done
case $features in +*) set -- "-mcpu=generic$features" "$@" ;; esac
exec "$zig" "$tool" -target "$target" -Wno-nullability-completeness "$@"
