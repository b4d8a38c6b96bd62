package driver

// units are IOMMUs whose drivers hand out what the boards' default says, or don't. Arm's SMMUs hand out as much as a device's mask
// allows, and so have no entry.
var units = []Unit{
	{"rockchip,iommu", "drivers/iommu/rockchip-iommu.c", 4 << 10, 0, 4 << 30},
	{"rockchip,rk3568-iommu", "drivers/iommu/rockchip-iommu.c", 4 << 10, 0, 4 << 30},
	{"allwinner,sun50i-h6-iommu", "drivers/iommu/sun50i-iommu.c", 4 << 10, 0, 4 << 30},
	{"samsung,exynos-sysmmu", "drivers/iommu/exynos-iommu.c", 4 << 10, 0, 4 << 30},
	{"qcom,msm-iommu-v1", "drivers/iommu/arm/arm-smmu/qcom_iommu.c", 4 << 10, 0, 4 << 30},
	{"qcom,msm-iommu-v2", "drivers/iommu/arm/arm-smmu/qcom_iommu.c", 4 << 10, 0, 4 << 30},
	{"mediatek,mt8173-m4u", "drivers/iommu/mtk_iommu.c", 4 << 10, 0, 4 << 30},
	{"mediatek,mt8183-m4u", "drivers/iommu/mtk_iommu.c", 4 << 10, 0, 4 << 30},
}
